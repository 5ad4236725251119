#include "train/parameter_tensors.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "params/row_layout.h"

namespace capstan {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr int64_t kAbsentVersion = -1;  // of the row that stands for an empty table

// Writers of one table's rows: each takes a column of the rows into a stream of its own.
class RowStreams {
 public:
  RowStreams(const TableSpec& spec, int64_t rows, TensorBundleWriter* writer)
      : spec_(spec), layout_(spec.parts), rows_(rows), writer_(writer) {}

  Status Open(bool for_training) {
    if (spec_.dense_size == 0) {
      RETURN_IF_ERROR(OpenInts(
          "-keys", [](const char* row) { return static_cast<int64_t>(RowLayout::Key(row)); }));
      if (for_training) {
        RETURN_IF_ERROR(OpenInts(
            "-freqs", [](const char* row) { return static_cast<int64_t>(RowLayout::Count(row)); }));
        RETURN_IF_ERROR(OpenInts("-versions", [](const char* row) {
          return static_cast<int64_t>(RowLayout::LastStep(row));
        }));
      }
    }
    for (int p = 0; p < layout_.part_count(); ++p) {
      const RowPart& part = layout_.part(p);
      RETURN_IF_ERROR(OpenFloats(part.variable, layout_.weights_offset(p), part.dim));
      if (!for_training) continue;
      const std::vector<std::string> slots = SlotNames(part.optimizer.kind);
      for (size_t s = 0; s < slots.size(); ++s) {
        const int width = IsRowWise(part.optimizer.kind) ? 1 : part.dim;
        RETURN_IF_ERROR(OpenFloats(part.variable + "/" + slots[s],
                                   layout_.slot_offset(p, static_cast<int>(s)), width));
      }
    }
    return OkStatus();
  }

  Status Append(std::span<const char* const> rows) {
    for (const IntStream& ints : ints_) {
      bytes_.resize(rows.size() * sizeof(int64_t));
      for (size_t i = 0; i < rows.size(); ++i) {
        const int64_t value = ints.get(rows[i]);
        std::memcpy(bytes_.data() + i * sizeof(value), &value, sizeof(value));
      }
      RETURN_IF_ERROR(writer_->Append(ints.stream, bytes_));
    }
    for (const FloatStream& floats : floats_) {
      const size_t width = floats.width * sizeof(float);
      bytes_.resize(rows.size() * width);
      for (size_t i = 0; i < rows.size(); ++i) {
        std::memcpy(bytes_.data() + i * width, rows[i] + floats.offset * sizeof(float), width);
      }
      RETURN_IF_ERROR(writer_->Append(floats.stream, bytes_));
    }
    return OkStatus();
  }

  // One row that stands for an empty table.
  Status AppendAbsent() {
    for (size_t i = 0; i < ints_.size(); ++i) {
      const int64_t value = i == 2 ? kAbsentVersion : 0;
      RETURN_IF_ERROR(writer_->Append(
          ints_[i].stream, std::string_view(reinterpret_cast<const char*>(&value), sizeof(value))));
    }
    for (const FloatStream& floats : floats_) {
      RETURN_IF_ERROR(writer_->Append(floats.stream, std::string(floats.width * sizeof(float), 0)));
    }
    return OkStatus();
  }

 private:
  using IntGetter = int64_t (*)(const char* row);
  struct IntStream {
    int stream = 0;
    IntGetter get = nullptr;
  };
  struct FloatStream {
    int stream = 0;
    int offset = 0;  // floats from the row's start
    size_t width = 0;
  };

  Status OpenInts(const std::string& suffix, IntGetter get) {
    ASSIGN_OR_RETURN(const int stream,
                     writer_->OpenStream(spec_.variable + suffix, DType::kInt64, {rows_}));
    ints_.push_back({stream, get});
    return OkStatus();
  }
  Status OpenFloats(const std::string& name, int offset, int width) {
    ASSIGN_OR_RETURN(const int stream, writer_->OpenStream(name, DType::kFloat, {rows_, width}));
    floats_.push_back({stream, offset, static_cast<size_t>(width)});
    return OkStatus();
  }

  const TableSpec& spec_;
  const RowLayout layout_;
  const int64_t rows_;
  TensorBundleWriter* const writer_;
  std::vector<IntStream> ints_;
  std::vector<FloatStream> floats_;
  std::string bytes_;
};

Status WriteFiltered(const TableSpec& spec, int table, Snapshot* snapshot,
                     TensorBundleWriter* writer) {
  const int64_t count = snapshot->filtered_count(table);
  int streams[3];
  const char* suffixes[3] = {"/filtered-keys", "/filtered-freqs", "/filtered-versions"};
  for (int i = 0; i < 3; ++i) {
    ASSIGN_OR_RETURN(streams[i],
                     writer->OpenStream(spec.variable + suffixes[i], DType::kInt64, {count}));
  }
  std::vector<int64_t> values;
  const auto append = [&](int stream, const auto& numbers) {
    values.assign(numbers.begin(), numbers.end());
    return writer->Append(stream, std::string_view(reinterpret_cast<const char*>(values.data()),
                                                   values.size() * sizeof(int64_t)));
  };
  return snapshot->ReadFiltered(
      table,
      [&](std::span<const uint64_t> keys, std::span<const uint32_t> counts,
          std::span<const uint32_t> last_steps) -> Status {
        RETURN_IF_ERROR(append(streams[0], keys));
        RETURN_IF_ERROR(append(streams[1], counts));
        return append(streams[2], last_steps);
      });
}

Status WriteTable(const TableSpec& spec, int table, bool for_training, Snapshot* snapshot,
                  TensorBundleWriter* writer) {
  const int64_t rows = snapshot->row_count(table);
  RowStreams streams(spec, std::max<int64_t>(rows, 1), writer);
  RETURN_IF_ERROR(streams.Open(for_training));
  if (rows == 0) {
    RETURN_IF_ERROR(streams.AppendAbsent());
  } else {
    RETURN_IF_ERROR(snapshot->ReadRows(
        table, [&](std::span<const char* const> piece) { return streams.Append(piece); }));
  }
  if (!for_training || spec.admission_count <= 1) return OkStatus();
  return WriteFiltered(spec, table, snapshot, writer);
}

Shape SlotShape(const DenseSpec& variable) {
  Shape shape = variable.shape;
  if (IsRowWise(variable.optimizer.kind) && !shape.empty()) shape.pop_back();
  return shape;
}

Status WriteDense(const std::vector<DenseSpec>& variables, bool for_training, Snapshot* snapshot,
                  TensorBundleWriter* writer) {
  for (size_t v = 0; v < variables.size(); ++v) {
    const DenseSpec& variable = variables[v];
    const auto weights = snapshot->dense().subspan(variable.offset, ElementCount(variable.shape));
    RETURN_IF_ERROR(writer->AddFloats(variable.variable, variable.shape, weights));
    if (!for_training || !variable.trainable) continue;
    const std::vector<std::string> slots = SlotNames(variable.optimizer.kind);
    for (size_t s = 0; s < slots.size(); ++s) {
      const auto values = snapshot->dense_slot(static_cast<int>(v), static_cast<int>(s));
      RETURN_IF_ERROR(
          writer->AddFloats(variable.variable + "/" + slots[s], SlotShape(variable), values));
    }
  }
  return OkStatus();
}

// Reads one table.
class TableReader {
 public:
  TableReader(const TensorBundleReader& reader, const ReadParametersOptions& options,
              RowTable* table)
      : reader_(reader), options_(options), table_(table), spec_(table->spec()) {}

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
      const std::string part = NameOf(spec_.parts[0].variable);
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
    rows_.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      if (steps[i] == kAbsentVersion) {
        rows_.push_back(nullptr);
      } else {
        RETURN_IF_ERROR(AddRow(keys[i], counts[i], steps[i]));
      }
    }
    return options_.for_training && spec_.admission_count > 1 ? MakeFiltered() : OkStatus();
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
      RETURN_IF_ERROR(table_->InsertFiltered(static_cast<uint64_t>(keys[i]),
                                             static_cast<uint32_t>(counts[i]), steps[i]));
    }
    return OkStatus();
  }

  Status AddRow(int64_t key, int64_t count, int64_t step) {
    const uint64_t bits = static_cast<uint64_t>(key);
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
  RowTable* const table_;
  const TableSpec& spec_;
  std::vector<char*> rows_;
};

Status ReadDense(const TensorBundleReader& reader, const ReadParametersOptions& options,
                 DenseBlock* block) {
  const auto read = [&](const std::string& ours, const Shape& shape,
                        std::span<float> values) -> Status {
    const std::string name = options.name_of == nullptr ? ours : options.name_of(ours);
    if (name.empty()) return OkStatus();
    const TensorEntry* entry = reader.Find(name);
    if (entry == nullptr) {
      return NotFoundError("checkpoint {}: no tensor {}", reader.prefix(), name);
    }
    if (entry->dtype != DType::kFloat || entry->shape != shape) {
      return Error("checkpoint {}: tensor {} is {} {}, wanted float32 {}", reader.prefix(), name,
                   NameOf(entry->dtype), ToString(entry->shape), ToString(shape));
    }
    return reader.Read(name, {reinterpret_cast<char*>(values.data()), values.size_bytes()});
  };
  for (size_t v = 0; v < block->variables().size(); ++v) {
    const DenseSpec& variable = block->variables()[v];
    const int64_t count = ElementCount(variable.shape);
    RETURN_IF_ERROR(
        read(variable.variable, variable.shape, block->weights().subspan(variable.offset, count)));
    if (!options.for_training || !variable.trainable) continue;
    const std::vector<std::string> slots = SlotNames(variable.optimizer.kind);
    for (size_t s = 0; s < slots.size(); ++s) {
      RETURN_IF_ERROR(read(variable.variable + "/" + slots[s], SlotShape(variable),
                           block->slot(static_cast<int>(v), static_cast<int>(s))));
    }
  }
  return OkStatus();
}

}  // namespace

std::vector<int64_t> WrittenRows(const Snapshot& snapshot, size_t tables) {
  std::vector<int64_t> rows;
  for (size_t t = 0; t < tables; ++t) {
    rows.push_back(std::max<int64_t>(snapshot.row_count(static_cast<int>(t)), 1));
  }
  return rows;
}

Status WriteParameters(const Model& model, bool for_training, Snapshot* snapshot,
                       TensorBundleWriter* writer) {
  RETURN_IF_ERROR(WriteDense(model.dense_variables(), for_training, snapshot, writer));
  for (size_t t = 0; t < model.tables().size(); ++t) {
    RETURN_IF_ERROR(
        WriteTable(model.tables()[t], static_cast<int>(t), for_training, snapshot, writer));
  }
  return OkStatus();
}

Status ReadParameters(const TensorBundleReader& reader, const ReadParametersOptions& options,
                      LocalParameters* parameters) {
  RETURN_IF_ERROR(ReadDense(reader, options, &parameters->dense_block()));
  for (size_t t = 0; t < parameters->tables().size(); ++t) {
    RETURN_IF_ERROR(TableReader(reader, options, &parameters->table(static_cast<int>(t))).Read());
  }
  return OkStatus();
}

}  // namespace capstan
