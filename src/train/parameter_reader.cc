#include "train/parameter_reader.h"

#include <algorithm>
#include <cstring>

#include "params/row_layout.h"
#include "train/parameter_names.h"

namespace capstan {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kGroupRows = 1024;

// Reads one table.
class TableReader {
 public:
  TableReader(const TensorBundleReader& reader, const ReadParametersOptions& options, int number,
              RowTable* table)
      : reader_(reader), options_(options), number_(number), table_(table), spec_(table->spec()) {}

  Status Read() {
    RETURN_IF_ERROR(MakeRows());
    const RowLayout& layout = table_->layout();
    for (int p = 0; p < layout.part_count(); ++p) {
      const RowPart& part = layout.part(p);
      RETURN_IF_ERROR(ReadColumn(part.variable, layout.weights_offset(p), part.dim));
      if (!options_.for_training) continue;
      const std::vector<std::string> slots = SlotNames(part.optimizer.kind);
      for (size_t s = 0; s < slots.size(); ++s) {
        const int width = IsRowWise(part.optimizer.kind) ? 1 : part.dim;
        RETURN_IF_ERROR(ReadColumn(part.variable + "/" + slots[s],
                                   layout.slot_offset(p, static_cast<int>(s)), width));
      }
    }
    return OkStatus();
  }

 private:
  std::string NameOf(const std::string& ours) const {
    return options_.name_of == nullptr ? ours : options_.name_of(ours);
  }

  // rows_[i]: the row of the bundle's i-th; null for the row of an empty table.
  Status MakeRows() {
    const std::string keys_name = NameOf(spec_.variable + "-keys");
    if (spec_.dense_size == 0 && reader_.Find(keys_name) != nullptr)
      return MakeKeyedRows(keys_name);
    int64_t count = spec_.dense_size;
    if (count == 0) {
      std::string part;  // the first that is wanted
      for (size_t i = 0; i < spec_.parts.size() && part.empty(); ++i) {
        part = NameOf(spec_.parts[i].variable);
      }
      if (part.empty()) return OkStatus();
      const TensorEntry* entry = reader_.Find(part);
      if (entry == nullptr || entry->shape.empty()) {
        return NotFoundError("checkpoint {}: no tensor {}, and no rows {} for it", reader_.prefix(),
                             keys_name, part);
      }
      count = entry->shape[0];
    }
    for (int64_t id = 0; id < count; ++id) RETURN_IF_ERROR(AddRow(id, 1, 0));
    return OkStatus();
  }

  Status MakeKeyedRows(const std::string& keys_name) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> keys, reader_.ReadInts(keys_name));
    std::vector<int64_t> counts(keys.size(), 1), steps(keys.size(), 0);
    if (options_.for_training) {
      ASSIGN_OR_RETURN(counts, reader_.ReadInts(NameOf(spec_.variable + "-freqs")));
      ASSIGN_OR_RETURN(steps, reader_.ReadInts(NameOf(spec_.variable + "-versions")));
      if (counts.size() != keys.size() || steps.size() != keys.size()) {
        return CorruptionError("checkpoint {}: table {} has {} keys, {} freqs and {} versions",
                               reader_.prefix(), spec_.variable, keys.size(), counts.size(),
                               steps.size());
      }
    }
    RETURN_IF_ERROR(Annotate(AddKeyedRows(keys, counts, steps), "checkpoint " + reader_.prefix()));
    return options_.for_training && spec_.admission_count > 1 ? MakeFiltered() : OkStatus();
  }

  // In groups, so that memory is fetched for many keys at once.
  Status AddKeyedRows(const std::vector<int64_t>& keys, const std::vector<int64_t>& counts,
                      const std::vector<int64_t>& steps) {
    rows_.assign(keys.size(), nullptr);
    std::vector<uint64_t> group_keys;
    std::vector<uint32_t> group_counts;
    std::vector<int64_t> group_steps;
    std::vector<size_t> places;
    std::vector<char*> rows(kGroupRows);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (steps[i] != kAbsentVersion && Wants(keys[i])) {
        group_keys.push_back(static_cast<uint64_t>(keys[i]));
        group_counts.push_back(static_cast<uint32_t>(counts[i]));
        group_steps.push_back(steps[i]);
        places.push_back(i);
      }
      if (places.size() < kGroupRows && i + 1 < keys.size()) continue;
      RETURN_IF_ERROR(table_->InsertBatch(group_keys, group_counts, group_steps, rows.data()));
      for (size_t row = 0; row < places.size(); ++row) rows_[places[row]] = rows[row];
      group_keys.clear();
      group_counts.clear();
      group_steps.clear();
      places.clear();
    }
    return OkStatus();
  }

  Status MakeFiltered() {
    ASSIGN_OR_RETURN(const auto keys, reader_.ReadInts(NameOf(spec_.variable + "/filtered-keys")));
    ASSIGN_OR_RETURN(const auto counts,
                     reader_.ReadInts(NameOf(spec_.variable + "/filtered-freqs")));
    ASSIGN_OR_RETURN(const auto steps,
                     reader_.ReadInts(NameOf(spec_.variable + "/filtered-versions")));
    if (counts.size() != keys.size() || steps.size() != keys.size()) {
      return CorruptionError("checkpoint {}: table {}: filtered keys, freqs and versions differ",
                             reader_.prefix(), spec_.variable);
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!Wants(keys[i])) continue;
      RETURN_IF_ERROR(table_->InsertFiltered(static_cast<uint64_t>(keys[i]),
                                             static_cast<uint32_t>(counts[i]), steps[i]));
    }
    return OkStatus();
  }

  bool Wants(int64_t key) const {
    return options_.wants == nullptr || options_.wants(number_, static_cast<uint64_t>(key));
  }

  Status AddRow(int64_t key, int64_t count, int64_t step) {
    const uint64_t bits = static_cast<uint64_t>(key);
    if (!Wants(key)) {
      rows_.push_back(nullptr);
      return OkStatus();
    }
    if (spec_.dense_size > 0) {  // there already
      const char* row = nullptr;
      table_->Find({&bits, 1}, &row);
      if (row != nullptr) {
        rows_.push_back(const_cast<char*>(row));
        return OkStatus();
      }
    }
    StatusOr<char*> row = table_->Insert(bits, static_cast<uint32_t>(count), step);
    if (!row.ok()) return Annotate(row.status(), "checkpoint " + reader_.prefix());
    rows_.push_back(*row);
    return OkStatus();
  }

  // The tensor's rows into the floats at `offset` of ours.
  Status ReadColumn(const std::string& ours, int offset, int width) {
    const std::string name = NameOf(ours);
    if (name.empty()) return OkStatus();
    const TensorEntry* entry = reader_.Find(name);
    if (entry == nullptr) {
      return NotFoundError("checkpoint {}: no tensor {}", reader_.prefix(), name);
    }
    const int64_t rows = static_cast<int64_t>(rows_.size());
    if (entry->dtype != DType::kFloat || ElementCount(entry->shape) != rows * width ||
        entry->shape.empty() || entry->shape[0] != rows) {
      return Error("checkpoint {}: tensor {} is {} {}, wanted float32 [{},{}]", reader_.prefix(),
                   name, NameOf(entry->dtype), ToString(entry->shape), rows, width);
    }
    const size_t row_bytes = width * sizeof(float);
    const auto store = [&](uint64_t at, std::string_view piece) {
      for (size_t i = 0; i < piece.size(); i += row_bytes) {
        char* row = rows_[(at + i) / row_bytes];
        if (row == nullptr) continue;
        std::memcpy(row + offset * sizeof(float), piece.data() + i, row_bytes);
      }
      return OkStatus();
    };
    if (entry->partitioned) {
      std::vector<char> bytes(rows * row_bytes);
      RETURN_IF_ERROR(reader_.Read(name, bytes));
      return store(0, std::string_view(bytes.data(), bytes.size()));
    }
    const size_t piece_rows = std::max<size_t>(kPieceBytes / row_bytes, 1);
    return reader_.Stream(name, piece_rows * row_bytes, store);
  }

  static std::string NameOf(DType dtype) { return capstan::NameOf(dtype); }

  const TensorBundleReader& reader_;
  const ReadParametersOptions& options_;
  const int number_;
  RowTable* const table_;
  const TableSpec& spec_;
  std::vector<char*> rows_;
};

// Reads dense variables, or a server's pieces of them.
class DenseReader {
 public:
  DenseReader(const TensorBundleReader& reader, const ReadParametersOptions& options)
      : reader_(reader), options_(options) {}

  Status Read(DenseBlock* block) {
    for (size_t v = 0; v < block->variables().size(); ++v) {
      const DenseSpec& variable = block->variables()[v];
      const int64_t count = ElementCount(variable.shape);
      RETURN_IF_ERROR(ReadTensor(variable.variable, variable.shape, variable.first_element,
                                 block->weights().subspan(variable.offset, count)));
      if (!options_.for_training || !variable.trainable) continue;
      const std::vector<std::string> slots = SlotNames(variable.optimizer.kind);
      const Shape slot_shape = SlotShape(variable);
      const int64_t slot_first = slot_shape == variable.shape
                                     ? variable.first_element
                                     : variable.first_element / variable.shape.back();
      for (size_t s = 0; s < slots.size(); ++s) {
        RETURN_IF_ERROR(ReadTensor(variable.variable + "/" + slots[s], slot_shape, slot_first,
                                   block->slot(static_cast<int>(v), static_cast<int>(s))));
      }
    }
    return OkStatus();
  }

 private:
  // Whether `piece`, beginning at element `first`, is a run of rows of `whole`.
  static bool IsPiece(Shape piece, int64_t first, Shape whole) {
    if (piece.size() != whole.size() || piece.empty()) return piece == whole;
    const int64_t end = first + ElementCount(piece);
    const int64_t all = ElementCount(whole);
    piece[0] = whole[0] = 0;
    return piece == whole && end <= all;
  }

  Status ReadTensor(const std::string& ours, const Shape& shape, int64_t first,
                    std::span<float> values) {
    const std::string name = options_.name_of == nullptr ? ours : options_.name_of(ours);
    if (name.empty()) return OkStatus();
    const TensorEntry* entry = reader_.Find(name);
    if (entry == nullptr) {
      return NotFoundError("checkpoint {}: no tensor {}", reader_.prefix(), name);
    }
    const bool pieces = options_.wants != nullptr;
    const bool fits = pieces ? IsPiece(shape, first, entry->shape) : entry->shape == shape;
    if (entry->dtype != DType::kFloat || !fits) {
      return Error("checkpoint {}: tensor {} is {} {}, wanted {}float32 {}", reader_.prefix(), name,
                   NameOf(entry->dtype), ToString(entry->shape), pieces ? "rows of " : "",
                   ToString(shape));
    }
    if (entry->shape == shape) {
      return reader_.Read(name, {reinterpret_cast<char*>(values.data()), values.size_bytes()});
    }
    ASSIGN_OR_RETURN(const std::vector<float> whole, reader_.ReadFloats(name));
    std::copy_n(whole.begin() + first, values.size(), values.begin());
    return OkStatus();
  }

  const TensorBundleReader& reader_;
  const ReadParametersOptions& options_;
};

}  // namespace

Status ReadParameters(const TensorBundleReader& reader, const ReadParametersOptions& options,
                      LocalParameters* parameters) {
  RETURN_IF_ERROR(DenseReader(reader, options).Read(&parameters->dense_block()));
  for (size_t t = 0; t < parameters->tables().size(); ++t) {
    const int table = static_cast<int>(t);
    RETURN_IF_ERROR(TableReader(reader, options, table, &parameters->table(table)).Read());
  }
  return OkStatus();
}

}  // namespace capstan
