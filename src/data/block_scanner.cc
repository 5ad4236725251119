#include "data/block_scanner.h"

#include "data/block_reader.h"
#include "data/input_format.h"

namespace capstan {
namespace {

RecordWalkOptions WalkOptions(BatchStreamOptions options, const InputFormat& format) {
  options.blocks = 1;
  RecordWalkOptions walk = BlockReaderOptionsOf(options, format).records;
  walk.skim = true;
  return walk;
}

}  // namespace

struct BlockScanner::Rep {
  bool damage_is_error;
  RecordWalk walk;
};

BlockScanner::BlockScanner(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
BlockScanner::~BlockScanner() = default;

StatusOr<std::unique_ptr<BlockScanner>> BlockScanner::Open(FileSystem& fs, const InputSpec& spec,
                                                           const BatchStreamOptions& options,
                                                           const InputPosition& start) {
  if (options.paths.empty()) return Error("there are no files to read");
  if (start.example != 0) {
    return Error("find blocks from example {} of block {} on: a block begins at 0", start.example,
                 start.block);
  }
  ASSIGN_OR_RETURN(const InputSample sample,
                   LookAtInput(fs, options.paths[0], options.format, spec.csv_columns));
  auto rep = std::unique_ptr<Rep>(
      new Rep{options.max_bad_records == 0, RecordWalk(fs, WalkOptions(options, sample.format))});
  RETURN_IF_ERROR(rep->walk.Start(start));
  return std::unique_ptr<BlockScanner>(new BlockScanner(std::move(rep)));
}

StatusOr<bool> BlockScanner::Next(ScannedBlock* block) {
  RecordWalk& walk = rep_->walk;
  if (walk.at_end()) return false;
  block->start = walk.position();
  block->examples = 0;
  for (walk.BeginBlock(); walk.in_block(); walk.Advance()) {
    if (rep_->damage_is_error && !walk.damage().ok()) return walk.damage();
    ++block->examples;
  }
  walk.EndBlock();
  return true;
}

InputPosition BlockScanner::position() const { return rep_->walk.position(); }

}  // namespace capstan
