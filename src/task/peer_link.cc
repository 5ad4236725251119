#include "task/peer_link.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>

#include "task/sha256.h"

namespace capstan {
namespace {

constexpr std::string_view kGreeting = "capstan-task 1 ";
constexpr size_t kMaxLineBytes = 256 << 10;  // the done ones of a large job

StatusOr<std::string> NewNonce() {
  uint8_t bytes[16];
  if (::getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    return SystemError("get randomness", errno);
  }
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::string MacOf(const LinkOptions& options, std::string_view direction, const std::string& nonce,
                  std::string_view line) {
  if (options.token.empty()) return "none";
  return HexOf(HmacSha256(options.token, fmt::format("{} {} {}", direction, nonce, line)));
}

// "LINE mac=HEX" → LINE.
StatusOr<std::string> Verified(const std::string& signed_line, const LinkOptions& options,
                               std::string_view direction, const std::string& nonce) {
  constexpr std::string_view kMac = " mac=";
  const size_t at = signed_line.rfind(kMac);
  if (at == std::string::npos) return CorruptionError("report of a task: without a mac");
  const std::string line = signed_line.substr(0, at);
  if (!SameText(signed_line.substr(at + kMac.size()), MacOf(options, direction, nonce, line))) {
    return MakeStatus(absl::StatusCode::kPermissionDenied, "a task with another token");
  }
  return line;
}

StatusOr<TaskReport> Exchange(const Socket& socket, const TaskReport& report,
                              const LinkOptions& options) {
  const Deadline deadline(options.timeout);
  ASSIGN_OR_RETURN(const std::string greeting, socket.ReadLine(kMaxLineBytes, deadline));
  if (!greeting.starts_with(kGreeting)) return CorruptionError("what listens is no capstan-task");
  ASSIGN_OR_RETURN(const std::string nonce, NewNonce());
  const std::string line = EncodeReport(options.job, report) + " nonce=" + nonce;
  const std::string mac = MacOf(options, "call", greeting.substr(kGreeting.size()), line);
  RETURN_IF_ERROR(socket.Write(line + " mac=" + mac + "\n", deadline));
  ASSIGN_OR_RETURN(const std::string answer, socket.ReadLine(kMaxLineBytes, deadline));
  if (answer.starts_with("refused")) {
    return MakeStatus(absl::StatusCode::kPermissionDenied, answer);
  }
  ASSIGN_OR_RETURN(const std::string verified, Verified(answer, options, "answer", nonce));
  return DecodeReport(verified, options.job);
}

StatusOr<TaskReport> Hear(const Socket& caller, const IpAddress& from, const LinkOptions& options,
                          const Deadline& deadline, std::string* their_nonce) {
  if (options.token.empty() && !options.insecure && !from.is_loopback()) {
    return MakeStatus(absl::StatusCode::kPermissionDenied,
                      "without a token only tasks of this machine are heard");
  }
  ASSIGN_OR_RETURN(const std::string nonce, NewNonce());
  RETURN_IF_ERROR(caller.Write(std::string(kGreeting) + nonce + "\n", deadline));
  ASSIGN_OR_RETURN(const std::string line, caller.ReadLine(kMaxLineBytes, deadline));
  ASSIGN_OR_RETURN(const std::string verified, Verified(line, options, "call", nonce));
  constexpr std::string_view kNonce = " nonce=";
  const size_t at = verified.rfind(kNonce);
  if (at == std::string::npos) return CorruptionError("report of a task: without a nonce");
  *their_nonce = verified.substr(at + kNonce.size());
  return DecodeReport(std::string_view(verified).substr(0, at), options.job);
}

}  // namespace

StatusOr<HostPort> ParseHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  HostPort peer;
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data() + colon + 1, end, peer.port);
    if (result.ec == std::errc() && result.ptr == end && peer.port > 0 && peer.port < 65536) {
      peer.host = text.substr(0, colon);
    }
  }
  if (peer.host.starts_with('[') && peer.host.ends_with(']')) {
    peer.host = peer.host.substr(1, peer.host.size() - 2);
  }
  if (peer.host.empty()) return Error("'{}', wanted host:port", text);
  return peer;
}

StatusOr<TaskReport> CallPeer(const HostPort& peer, const TaskReport& report,
                              const LinkOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<IpAddress> addresses, LookUp(peer.host));
  Status last = OkStatus();
  for (const IpAddress& address : addresses) {
    const StatusOr<Socket> socket = Connect(address, peer.port, SOCK_STREAM, options.timeout);
    if (socket.ok()) return Exchange(*socket, report, options);
    last = socket.status();
  }
  return last;
}

Status AnswerPeer(const Socket& caller, const IpAddress& from, const LinkOptions& options,
                  const std::function<TaskReport(const TaskReport&)>& answer) {
  const Deadline deadline(options.timeout);
  std::string nonce;
  const StatusOr<TaskReport> report = Hear(caller, from, options, deadline, &nonce);
  if (!report.ok()) {
    if (report.status().code() == absl::StatusCode::kPermissionDenied) {
      caller.Write("refused: " + Message(report.status()) + "\n", deadline).IgnoreError();
    }
    return Annotate(report.status(), "call from " + from.Text());
  }
  const std::string line = EncodeReport(options.job, answer(*report));
  return caller.Write(line + " mac=" + MacOf(options, "answer", nonce, line) + "\n", deadline);
}

}  // namespace capstan
