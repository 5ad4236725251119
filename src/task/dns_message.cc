#include "task/dns_message.h"

#include <cctype>
#include <cstring>

namespace capstan {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kMaxLabelBytes = 63, kMaxNameBytes = 255;
constexpr uint16_t kInternet = 1;

void Put16(uint16_t value, std::string* out) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value & 0xff));
}

class Reader {
 public:
  explicit Reader(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}
  bool Get16(uint16_t* value) {
    std::string_view two;
    if (!GetBytes(2, &two)) return false;
    *value =
        static_cast<uint16_t>(static_cast<uint8_t>(two[0]) << 8 | static_cast<uint8_t>(two[1]));
    return true;
  }
  bool GetBytes(size_t count, std::string_view* out) {
    if (bytes_.size() < count || at_ > bytes_.size() - count) return false;
    *out = bytes_.substr(at_, count);
    at_ += count;
    return true;
  }
  // A name is skipped, not read: the question says which one it is.
  bool SkipName() {
    std::string_view ignored;
    for (;;) {
      if (!GetBytes(1, &ignored)) return false;
      const auto length = static_cast<uint8_t>(ignored[0]);
      if (length == 0) return true;
      if ((length & 0xc0) == 0xc0) return GetBytes(1, &ignored);
      if (length > kMaxLabelBytes || !GetBytes(length, &ignored)) return false;
    }
  }

 private:
  const std::string_view bytes_;
  size_t at_;
};

// Servers may change the case of letters.
bool SameQuestion(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::tolower(static_cast<uint8_t>(a[i])) != std::tolower(static_cast<uint8_t>(b[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace

StatusOr<std::string> DnsQuestion(uint16_t id, const std::string& name, DnsType type) {
  std::string message;
  Put16(id, &message);
  Put16(0x0100, &message);  // recursion wanted
  Put16(1, &message);
  message.append(6, '\0');
  size_t start = 0;
  while (start < name.size()) {
    const size_t dot = std::min(name.find('.', start), name.size());
    if (dot == start || dot - start > kMaxLabelBytes) return Error("'{}' is no host name", name);
    message.push_back(static_cast<char>(dot - start));
    message.append(name, start, dot - start);
    start = dot + 1;
  }
  message.push_back('\0');
  if (message.size() - kHeaderBytes > kMaxNameBytes) return Error("'{}' is no host name", name);
  Put16(static_cast<uint16_t>(type), &message);
  Put16(kInternet, &message);
  return message;
}

StatusOr<DnsAnswer> ParseDnsAnswer(std::string_view message, std::string_view question,
                                   DnsType type) {
  const Status damage = CorruptionError(
      "answer of a name server of {} bytes: damaged, or not to "
      "the question",
      message.size());
  if (message.size() < question.size() || question.size() < kHeaderBytes) return damage;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(message[i]); };
  if (message.substr(0, 2) != question.substr(0, 2) || (byte(2) & 0x80) == 0) return damage;
  const std::string_view asked = question.substr(kHeaderBytes);
  if (!SameQuestion(message.substr(kHeaderBytes, asked.size()), asked)) return damage;
  DnsAnswer answer{.truncated = (byte(2) & 0x02) != 0, .code = byte(3) & 0x0f};
  const int records = byte(6) << 8 | byte(7);
  Reader reader(message, question.size());
  for (int i = 0; i < records && !answer.truncated; ++i) {
    uint16_t record_type = 0, record_class = 0, size = 0;
    std::string_view ttl, data;
    if (!reader.SkipName() || !reader.Get16(&record_type) || !reader.Get16(&record_class) ||
        !reader.GetBytes(4, &ttl) || !reader.Get16(&size) || !reader.GetBytes(size, &data)) {
      return damage;
    }
    // Other records are the aliases on the way.
    if (record_type != static_cast<uint16_t>(type) || record_class != kInternet) continue;
    IpAddress address{.is_v6 = type == DnsType::kAaaa};
    const size_t wanted = address.is_v6 ? sizeof(address.v6) : sizeof(address.v4);
    if (data.size() != wanted) return damage;
    std::memcpy(address.is_v6 ? static_cast<void*>(&address.v6) : &address.v4, data.data(), wanted);
    answer.addresses.push_back(address);
  }
  return answer;
}

}  // namespace capstan
