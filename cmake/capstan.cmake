# How every room is built: one static library and one test program per room, files listed by name.

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
                    -Wno-interference-size)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-Wthread-safety -Werror=thread-safety)
endif()
if(CAPSTAN_SANITIZE)
  add_compile_options(-fsanitize=${CAPSTAN_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CAPSTAN_SANITIZE})
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # CI builds in another folder: paths relative to the source keep the cache warm there.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

# capstan_room(NAME FILES a.cc … DEPS lib …): static library capstan_NAME.
function(capstan_room name)
  cmake_parse_arguments(ROOM "" "" "FILES;DEPS" ${ARGN})
  add_library(capstan_${name} STATIC ${ROOM_FILES})
  target_include_directories(capstan_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(capstan_${name} PUBLIC ${ROOM_DEPS})
endfunction()

# capstan_room_test(NAME [PART part] FILES a_test.cc …): program NAME_test, or NAME_part_test for
# tests that are run apart; ctest runs it as one test.
function(capstan_room_test name)
  if(NOT CAPSTAN_TESTS)
    return()
  endif()
  cmake_parse_arguments(TEST "" "PART" "FILES;DEPS" ${ARGN})
  set(program ${name}_test)
  if(TEST_PART)
    set(program ${name}_${TEST_PART}_test)
  endif()
  add_executable(${program} ${TEST_FILES})
  target_link_libraries(${program} PRIVATE capstan_${name} ${TEST_DEPS} GTest::gtest_main)
  add_test(NAME ${program} COMMAND ${program})
endfunction()
