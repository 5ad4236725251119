#include "net/grpc_log.h"

#include <grpc/support/log.h>

#include <atomic>

namespace capstan {
namespace {

// gRPC takes a plain function, which has nowhere else to find the sink.
std::atomic<GrpcLogSink> grpc_log_sink = nullptr;

void Pass(gpr_log_func_args* line) {
  const GrpcLogSink sink = grpc_log_sink.load();
  if (sink != nullptr) sink(line->severity == GPR_LOG_SEVERITY_ERROR, line->message);
}

}  // namespace

void SetGrpcLog(GrpcLogSink sink) {
  grpc_log_sink = sink;
  gpr_set_log_function(&Pass);
}

}  // namespace capstan
