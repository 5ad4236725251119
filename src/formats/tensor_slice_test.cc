#include "formats/tensor_slice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/random.h"

namespace capstan {
namespace {

TEST(TensorSliceTest, KnownKeys) {
  EXPECT_EQ(SliceKey("v", {{0, 10}, {0, -1}}), std::string("\0v\0\1\1\2\x80\x8a\x80\x7f", 10));
  EXPECT_EQ(SliceKey(std::string("\0\xff", 2), {}), std::string("\0\0\xff\xff\0\0\1\0", 8));
}

TEST(TensorSliceTest, KeysKeepTheOrderOfNumbers) {
  std::vector<int64_t> numbers = {std::numeric_limits<int64_t>::min(),
                                  std::numeric_limits<int64_t>::max(), 0};
  for (int bit = 0; bit < 63; ++bit) {
    for (const int64_t step : {-1, 0, 1}) {
      numbers.push_back((int64_t{1} << bit) + step);
      numbers.push_back(-(int64_t{1} << bit) + step);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  for (size_t i = 1; i < numbers.size(); ++i) {
    EXPECT_LT(SliceKey("n", {{numbers[i - 1], 0}}), SliceKey("n", {{numbers[i], 0}})) << numbers[i];
  }
  // One byte up to 63, two up to 8191.
  EXPECT_EQ(SliceKey("", {{63, 0}}).size() + 1, SliceKey("", {{64, 0}}).size());
  EXPECT_EQ(SliceKey("", {{8191, 0}}), std::string("\0\0\1\1\1\xdf\xff\x80", 8));
}

TEST(TensorSliceTest, Resolves) {
  EXPECT_EQ(*ResolveSlice({{2, 3}, {0, -1}}, {5, 4}), (TensorSlice{{2, 3}, {0, 4}}));
  for (const TensorSlice& slice :
       {TensorSlice{{0, 1}}, TensorSlice{{3, 3}, {0, -1}}, TensorSlice{{-1, 2}, {0, -1}},
        TensorSlice{{1, -1}, {0, -1}}, TensorSlice{{0, -2}, {0, -1}},
        TensorSlice{{std::numeric_limits<int64_t>::max(), 1}, {0, -1}}}) {
    EXPECT_FALSE(ResolveSlice(slice, {5, 4}).ok()) << ToString(slice);
  }
  EXPECT_EQ(ToString(TensorSlice{{2, 3}, {0, -1}}), "2,3:-");
}

TEST(TensorSliceTest, Overlaps) {
  EXPECT_TRUE(Overlap({{0, 2}, {0, 2}}, {{1, 2}, {1, 2}}));
  EXPECT_FALSE(Overlap({{0, 2}, {0, 2}}, {{0, 2}, {2, 2}}));
  EXPECT_FALSE(Overlap({{0, 4}}, {{2, 0}}));
}

// A tensor of random shape, cut at random places in each dimension, put together again.
TEST(TensorSliceTest, PiecesMakeTheWhole) {
  RandomStream random(3);
  for (int round = 0; round < 200; ++round) {
    Shape whole;
    const size_t rank = random.Below(4);
    for (size_t i = 0; i < rank; ++i) whole.push_back(random.Below(5) + 1);
    std::vector<int> wanted(ElementCount(whole));
    std::iota(wanted.begin(), wanted.end(), 1);
    std::vector<TensorSlice> slices = {{}};
    for (size_t i = 0; i < rank; ++i) {
      const auto cut = static_cast<int64_t>(random.Below(whole[i] + 1));
      std::vector<TensorSlice> longer;
      for (const TensorSlice& slice : slices) {
        for (const SliceExtent& extent : {SliceExtent{0, cut}, SliceExtent{cut, whole[i] - cut}}) {
          longer.push_back(slice);
          longer.back().push_back(extent);
        }
      }
      slices = longer;
    }
    std::vector<int> got(wanted.size(), 0);
    for (const TensorSlice& slice : slices) {
      std::vector<int> piece;
      for (size_t element = 0; element < wanted.size(); ++element) {
        bool inside = true;
        size_t rest = element;
        for (size_t i = rank; i-- > 0; rest /= whole[i]) {
          const auto index = static_cast<int64_t>(rest % whole[i]);
          inside = inside && index >= slice[i].start && index < slice[i].start + slice[i].length;
        }
        if (inside) piece.push_back(wanted[element]);
      }
      uint64_t first = 0;
      if (IsContiguous(slice, whole, &first) && !piece.empty()) {
        ASSERT_EQ(piece.front(), wanted[first]);
        ASSERT_EQ(piece.back(), wanted[first + piece.size() - 1]);
      }
      PutSlice(slice, whole, sizeof(int), reinterpret_cast<const char*>(piece.data()),
               reinterpret_cast<char*>(got.data()));
    }
    ASSERT_EQ(got, wanted) << ToString(whole);
  }
}

}  // namespace
}  // namespace capstan
