// A disk that fails, for tests: full after so many bytes, or read-only.
#pragma once

#include <atomic>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace capstan {

// Passes everything on to `base` (which must outlive it) until its budget of written bytes is used
// up; from then on each write fails as on a full disk, until FailAfterBytes is called again.
class FaultyFileSystem : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem* base) : base_(base) {}

  void FailAfterBytes(int64_t budget) { budget_ = budget; }
  // Create, rename, remove and folders are refused as on a read-only disk.
  void SetReadOnly(bool read_only) { read_only_ = read_only; }

  StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override {
    return base_->OpenForRead(path);
  }
  StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    RETURN_IF_ERROR(Refusal("create " + path));
    ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, base_->Create(path));
    return std::make_unique<File>(this, std::move(file));
  }
  Status Rename(const std::string& from, const std::string& to) override {
    RETURN_IF_ERROR(Refusal("rename " + from));
    return base_->Rename(from, to);
  }
  Status Remove(const std::string& path) override {
    RETURN_IF_ERROR(Refusal("remove " + path));
    return base_->Remove(path);
  }
  Status RemoveTree(const std::string& path) override {
    RETURN_IF_ERROR(Refusal("remove " + path));
    return base_->RemoveTree(path);
  }
  Status CreateFolder(const std::string& path) override {
    if (base_->IsFolder(path)) return OkStatus();
    RETURN_IF_ERROR(Refusal("create folder " + path));
    return base_->CreateFolder(path);
  }
  StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return base_->List(path);
  }
  bool Exists(const std::string& path) override { return base_->Exists(path); }
  bool IsFolder(const std::string& path) override { return base_->IsFolder(path); }

 private:
  class File : public WritableFile {
   public:
    File(FaultyFileSystem* owner, std::unique_ptr<WritableFile> file)
        : owner_(owner), file_(std::move(file)) {}
    Status Append(std::string_view bytes) override {
      RETURN_IF_ERROR(Spend(bytes.size()));
      return file_->Append(bytes);
    }
    Status WriteAt(uint64_t offset, std::string_view bytes) override {
      RETURN_IF_ERROR(Spend(bytes.size()));
      return file_->WriteAt(offset, bytes);
    }
    Status Flush() override { return file_->Flush(); }
    Status Sync() override { return file_->Sync(); }
    Status Close() override { return file_->Close(); }
    const std::string& path() const override { return file_->path(); }

   private:
    Status Spend(size_t size_bytes) {
      const auto cost = static_cast<int64_t>(size_bytes);
      if (owner_->budget_.fetch_sub(cost) >= cost) return OkStatus();
      return SystemError("write " + file_->path(), ENOSPC);
    }

    FaultyFileSystem* const owner_;
    const std::unique_ptr<WritableFile> file_;
  };

  Status Refusal(const std::string& what) const {
    return read_only_ ? SystemError(what, EROFS) : OkStatus();
  }

  FileSystem* const base_;
  std::atomic<int64_t> budget_{std::numeric_limits<int64_t>::max()};
  std::atomic<bool> read_only_{false};
};

}  // namespace capstan
