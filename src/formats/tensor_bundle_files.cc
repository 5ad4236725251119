#include "formats/tensor_bundle_files.h"

#include <algorithm>
#include <map>
#include <vector>

#include "formats/bundle_index.h"
#include "formats/tensor_bundle.h"

namespace capstan {
namespace {

bool IsDigits(std::string_view text) {
  return text.size() == 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "BASE.data-00001-of-00002", perhaps with ".tmp" behind it.
bool IsDataFileOf(std::string_view name, std::string_view base) {
  if (!name.starts_with(base)) return false;
  name.remove_prefix(base.size());
  if (name.ends_with(".tmp")) name.remove_suffix(4);
  return name.size() == 20 && name.starts_with(".data-") && IsDigits(name.substr(6, 5)) &&
         name.substr(11, 4) == "-of-" && IsDigits(name.substr(15));
}

struct FileMove {
  std::string from;
  std::string to;
};

struct Merge {
  BundleIndex index;
  std::vector<FileMove> moves;
};

// Adds the entry of another part; slices of the same tensor join.
Status AddEntry(BundleIndexEntry entry, const std::string& part,
                std::map<std::string, BundleIndexEntry>* merged) {
  const auto [place, is_new] = merged->try_emplace(entry.key, entry);
  if (is_new) return OkStatus();
  BundleIndexEntry& first = place->second;
  if (first.slices.empty() || entry.slices.empty()) {
    return Error("merge bundles: tensor {} is in {} and in a part before it", entry.key, part);
  }
  if (first.dtype != entry.dtype || first.shape != entry.shape) {
    return Error("merge bundles: tensor {} is {} {} in {}, but {} {} in a part before it",
                 entry.key, NameOf(entry.dtype), ToString(entry.shape), part, NameOf(first.dtype),
                 ToString(first.shape));
  }
  first.slices.insert(first.slices.end(), entry.slices.begin(), entry.slices.end());
  return OkStatus();
}

// The rows of one tensor from several parts, in their order, as slices of one.
Status AddConcatenation(std::vector<BundleIndexEntry> pieces,
                        std::map<std::string, BundleIndexEntry>* merged) {
  const std::string name = pieces[0].key;
  BundleIndexEntry whole{.key = name, .dtype = pieces[0].dtype, .shape = pieces[0].shape};
  if (whole.shape.empty()) return Error("merge bundles: scalar {} is in two parts", name);
  whole.shape[0] = 0;
  for (const BundleIndexEntry& piece : pieces) {
    Shape other = piece.shape;
    if (other.empty() || !piece.slices.empty() || piece.dtype != whole.dtype) {
      return Error("merge bundles: parts of tensor {} do not fit each other", name);
    }
    other[0] = whole.shape[0];
    if (other != whole.shape) {
      return Error("merge bundles: tensor {} is {} in one part and {} in another", name,
                   ToString(pieces[0].shape), ToString(piece.shape));
    }
    whole.shape[0] += piece.shape[0];
  }
  const BundleIndexEntry empty = pieces[0];
  std::erase_if(pieces, [](const BundleIndexEntry& piece) { return piece.shape[0] == 0; });
  if (pieces.size() <= 1) {
    (*merged)[name] = pieces.empty() ? empty : pieces[0];
    return OkStatus();
  }
  int64_t row = 0;
  for (BundleIndexEntry& piece : pieces) {
    TensorSlice slice;
    for (const int64_t size : piece.shape) slice.push_back({0, size});
    slice[0] = {row, piece.shape[0]};
    row += piece.shape[0];
    whole.slices.push_back(slice);
    piece.key = SliceKey(name, slice);
    (*merged)[piece.key] = std::move(piece);
  }
  (*merged)[name] = std::move(whole);
  return OkStatus();
}

enum class SameName { kIsAnError, kIsConcatenated };

StatusOr<Merge> PlanMerge(FileSystem& fs, std::span<const std::string> parts,
                          const std::string& prefix, SameName same_name) {
  std::vector<BundleIndex> indexes;
  int shard_count = 0;
  for (const std::string& part : parts) {
    ASSIGN_OR_RETURN(indexes.emplace_back(), ReadBundleIndex(fs, part));
    shard_count += indexes.back().shard_count;
  }
  if (shard_count < 1 || shard_count > kMaxShards) {
    return Error("merge bundles to {}: {} data files, 1 to {} are taken", prefix, shard_count,
                 kMaxShards);
  }
  Merge merge{.index = {.shard_count = shard_count}};
  std::map<std::string, BundleIndexEntry> merged;
  std::map<std::string, std::vector<BundleIndexEntry>> pieces;
  int first_shard = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (int shard = 0; shard < indexes[i].shard_count; ++shard) {
      const std::string from = BundleDataPath(parts[i], shard, indexes[i].shard_count);
      if (!fs.Exists(from)) return NotFoundError("merge bundles to {}: no file {}", prefix, from);
      merge.moves.push_back({from, BundleDataPath(prefix, first_shard + shard, shard_count)});
    }
    for (BundleIndexEntry& entry : indexes[i].entries) {
      if (entry.slices.empty()) entry.shard += first_shard;
      if (same_name == SameName::kIsConcatenated) {
        pieces[entry.key].push_back(std::move(entry));
      } else {
        RETURN_IF_ERROR(AddEntry(std::move(entry), parts[i], &merged));
      }
    }
    first_shard += indexes[i].shard_count;
  }
  for (auto& [key, entries] : pieces) {
    if (entries.size() == 1) {
      merged[key] = std::move(entries[0]);
    } else {
      RETURN_IF_ERROR(AddConcatenation(std::move(entries), &merged));
    }
  }
  for (auto& [key, entry] : merged) merge.index.entries.push_back(std::move(entry));
  return merge;
}

// All files or none, as far as the disk allows.
Status MoveFiles(FileSystem& fs, const std::vector<FileMove>& moves) {
  for (size_t i = 0; i < moves.size(); ++i) {
    if (moves[i].from == moves[i].to) continue;
    const Status status = fs.Rename(moves[i].from, moves[i].to);
    if (status.ok()) continue;
    while (i-- > 0) {
      if (moves[i].from != moves[i].to) fs.Rename(moves[i].to, moves[i].from).IgnoreError();
    }
    return status;
  }
  return OkStatus();
}

}  // namespace

Status RemoveTensorBundle(FileSystem& fs, const std::string& prefix) {
  const std::string index = BundleIndexPath(prefix);
  for (const std::string& path : {index, index + ".tmp"}) {
    if (fs.Exists(path)) RETURN_IF_ERROR(fs.Remove(path));
  }
  const std::string folder = FolderOf(prefix);
  if (!fs.IsFolder(folder)) return OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(folder));
  const std::string base = FileNameOf(prefix);
  for (const std::string& name : names) {
    if (IsDataFileOf(name, base)) RETURN_IF_ERROR(fs.Remove(JoinPath(folder, name)));
  }
  return OkStatus();
}

namespace {

Status MergeParts(FileSystem& fs, std::span<const std::string> parts, const std::string& prefix,
                  SameName same_name) {
  ASSIGN_OR_RETURN(const Merge merge, PlanMerge(fs, parts, prefix, same_name));
  ASSIGN_OR_RETURN(const std::string bytes, SerializeBundleIndex(merge.index));
  const std::string index = BundleIndexPath(prefix);
  const std::string beside = index + ".merged";
  RETURN_IF_ERROR(WriteFileAtomically(fs, beside, bytes));
  // An older bundle of this name is not there while its data files are replaced.
  const bool is_part = std::find(parts.begin(), parts.end(), prefix) != parts.end();
  const auto put_in_place = [&]() -> Status {
    if (!is_part && fs.Exists(index)) RETURN_IF_ERROR(fs.Remove(index));
    RETURN_IF_ERROR(MoveFiles(fs, merge.moves));
    return fs.Rename(beside, index);
  };
  const Status status = put_in_place();
  if (!status.ok()) {
    fs.Remove(beside).IgnoreError();
    return status;
  }
  for (const std::string& part : parts) {
    if (part != prefix) RETURN_IF_ERROR(fs.Remove(BundleIndexPath(part)));
  }
  return OkStatus();
}

}  // namespace

Status MergeTensorBundles(FileSystem& fs, std::span<const std::string> parts,
                          const std::string& prefix) {
  return MergeParts(fs, parts, prefix, SameName::kIsAnError);
}

Status ConcatenateTensorBundles(FileSystem& fs, std::span<const std::string> parts,
                                const std::string& prefix) {
  return MergeParts(fs, parts, prefix, SameName::kIsConcatenated);
}

}  // namespace capstan
