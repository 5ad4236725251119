// The values of FeatureViews.
#include <cstring>

#include "formats/example_parser.h"
#include "formats/little_endian.h"
#include "formats/varint.h"

namespace capstan {
namespace {

constexpr uint8_t kPacked = 0x0a;   // field 1 as length and bytes
constexpr uint8_t kVarint = 0x08;   // field 1, one varint
constexpr uint8_t kFixed32 = 0x0d;  // field 1, four bytes

Status Damage(const FeatureView& view) {
  return CorruptionError("parse Example: a {} list of {} bytes is damaged", NameOf(view.kind),
                         view.list.size());
}

Status WrongKind(const FeatureView& view, FeatureView::Kind wanted) {
  return Error("parse Example: a feature is {}, wanted {}", NameOf(view.kind), NameOf(wanted));
}

// Skips the field at `p` whose tag is not of field 1; null when it is cut.
const char* SkipField(const char* p, const char* end) {
  uint64_t tag = 0;
  uint64_t number = 0;
  p = DecodeVarint(p, end, &tag);
  if (p == nullptr) return nullptr;
  switch (tag & 7) {
    case 0:
      return DecodeVarint(p, end, &number);
    case 1:
      return end - p < 8 ? nullptr : p + 8;
    case 2:
      p = DecodeVarint(p, end, &number);
      return p == nullptr || number > static_cast<uint64_t>(end - p) ? nullptr : p + number;
    case 5:
      return end - p < 4 ? nullptr : p + 4;
    default:
      return nullptr;
  }
}

// The bytes of the length-delimited field whose tag byte is at `p`; null when they are cut.
const char* ReadBytes(const char* p, const char* end, std::string_view* bytes) {
  uint64_t size = 0;
  p = DecodeVarint(p + 1, end, &size);
  if (p == nullptr || size > static_cast<uint64_t>(end - p)) return nullptr;
  *bytes = std::string_view(p, size);
  return p + size;
}

void AppendPackedFloats(std::string_view packed, std::vector<float>* values) {
  const size_t before = values->size();
  values->resize(before + packed.size() / sizeof(float));
  if (!packed.empty()) std::memcpy(values->data() + before, packed.data(), packed.size());
}

}  // namespace

std::string_view NameOf(FeatureView::Kind kind) {
  switch (kind) {
    case FeatureView::Kind::kMissing:
      return "missing";
    case FeatureView::Kind::kBytes:
      return "bytes";
    case FeatureView::Kind::kFloat:
      return "float";
    case FeatureView::Kind::kInt64:
      return "int64";
  }
  return "missing";
}

Status AppendFloats(const FeatureView& view, std::vector<float>* values) {
  if (view.kind == FeatureView::Kind::kMissing) return OkStatus();
  if (view.kind != FeatureView::Kind::kFloat) return WrongKind(view, FeatureView::Kind::kFloat);
  const char* p = view.list.data();
  const char* const end = p + view.list.size();
  while (p < end) {
    const auto tag = static_cast<uint8_t>(*p);
    if (tag == kPacked) {
      std::string_view packed;
      p = ReadBytes(p, end, &packed);
      if (p == nullptr || packed.size() % sizeof(float) != 0) return Damage(view);
      AppendPackedFloats(packed, values);
    } else if (tag == kFixed32) {
      if (end - p < 5) return Damage(view);
      values->push_back(std::bit_cast<float>(LoadLittle32(p + 1)));
      p += 5;
    } else {
      p = SkipField(p, end);
      if (p == nullptr) return Damage(view);
    }
  }
  return OkStatus();
}

Status AppendInts(const FeatureView& view, std::vector<int64_t>* values) {
  if (view.kind == FeatureView::Kind::kMissing) return OkStatus();
  if (view.kind != FeatureView::Kind::kInt64) return WrongKind(view, FeatureView::Kind::kInt64);
  const char* p = view.list.data();
  const char* const end = p + view.list.size();
  uint64_t value = 0;
  while (p < end) {
    const auto tag = static_cast<uint8_t>(*p);
    if (tag == kPacked) {
      std::string_view packed;
      p = ReadBytes(p, end, &packed);
      if (p == nullptr) return Damage(view);
      const char* q = packed.data();
      while (q < p) {
        q = DecodeVarint(q, p, &value);
        if (q == nullptr) return Damage(view);
        values->push_back(static_cast<int64_t>(value));
      }
    } else if (tag == kVarint) {
      p = DecodeVarint(p + 1, end, &value);
      if (p == nullptr) return Damage(view);
      values->push_back(static_cast<int64_t>(value));
    } else {
      p = SkipField(p, end);
      if (p == nullptr) return Damage(view);
    }
  }
  return OkStatus();
}

Status AppendBytes(const FeatureView& view, std::vector<std::string_view>* values) {
  if (view.kind == FeatureView::Kind::kMissing) return OkStatus();
  if (view.kind != FeatureView::Kind::kBytes) return WrongKind(view, FeatureView::Kind::kBytes);
  const char* p = view.list.data();
  const char* const end = p + view.list.size();
  while (p < end) {
    if (static_cast<uint8_t>(*p) == kPacked) {
      std::string_view value;
      p = ReadBytes(p, end, &value);
      if (p == nullptr) return Damage(view);
      values->push_back(value);
    } else {
      p = SkipField(p, end);
      if (p == nullptr) return Damage(view);
    }
  }
  return OkStatus();
}

bool ReadOneUnpackedFloat(std::string_view list, float* value) {
  if (list.size() != 5 || list[0] != kFixed32) return false;
  *value = std::bit_cast<float>(LoadLittle32(list.data() + 1));
  return true;
}

bool ReadOneUnpackedInt(std::string_view list, int64_t* value) {
  const char* const end = list.data() + list.size();
  uint64_t bits = 0;
  if (list.size() < 2 || list[0] != kVarint || DecodeVarint(list.data() + 1, end, &bits) != end) {
    return false;
  }
  *value = static_cast<int64_t>(bits);
  return true;
}

bool ReadOneBytes(const FeatureView& view, std::string_view* value) {
  const std::string_view list = view.list;
  if (view.kind != FeatureView::Kind::kBytes || list.size() < 2 || list[0] != kPacked) return false;
  const char* const end = list.data() + list.size();
  std::string_view bytes;
  if (ReadBytes(list.data(), end, &bytes) != end) return false;
  *value = bytes;
  return true;
}

bool ReadFloats(const FeatureView& view, size_t count, float* values) {
  if (view.kind != FeatureView::Kind::kFloat) return false;
  if (count == 0) return view.list.empty();
  if (view.list.empty() || static_cast<uint8_t>(view.list[0]) != kPacked) return false;
  const char* const end = view.list.data() + view.list.size();
  std::string_view packed;
  if (ReadBytes(view.list.data(), end, &packed) != end) return false;
  if (packed.size() != count * sizeof(float)) return false;
  std::memcpy(values, packed.data(), packed.size());
  return true;
}

}  // namespace capstan
