#include "train/parameter_writer.h"

#include <algorithm>
#include <cstring>

#include "params/row_layout.h"
#include "train/parameter_names.h"

namespace capstan {
namespace {

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

Status WriteTable(const TableSpec& spec, int table, const WriteParametersOptions& options,
                  Snapshot* snapshot, TensorBundleWriter* writer) {
  const int64_t rows = snapshot->row_count(table);
  const bool stands_for_none = rows == 0 && !options.is_part;
  RowStreams streams(spec, stands_for_none ? 1 : rows, writer);
  RETURN_IF_ERROR(streams.Open(options.for_training));
  if (stands_for_none) {
    RETURN_IF_ERROR(streams.AppendAbsent());
  } else {
    RETURN_IF_ERROR(snapshot->ReadRows(
        table, [&](std::span<const char* const> piece) { return streams.Append(piece); }));
  }
  if (!options.for_training || spec.admission_count <= 1) return OkStatus();
  return WriteFiltered(spec, table, snapshot, writer);
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

}  // namespace

std::vector<int64_t> WrittenRows(const Snapshot& snapshot, size_t tables) {
  std::vector<int64_t> rows;
  for (size_t t = 0; t < tables; ++t) {
    rows.push_back(std::max<int64_t>(snapshot.row_count(static_cast<int>(t)), 1));
  }
  return rows;
}

Status WriteParameters(const std::vector<TableSpec>& tables, const std::vector<DenseSpec>& dense,
                       const WriteParametersOptions& options, Snapshot* snapshot,
                       TensorBundleWriter* writer) {
  RETURN_IF_ERROR(WriteDense(dense, options.for_training, snapshot, writer));
  for (size_t t = 0; t < tables.size(); ++t) {
    RETURN_IF_ERROR(WriteTable(tables[t], static_cast<int>(t), options, snapshot, writer));
  }
  return OkStatus();
}

}  // namespace capstan
