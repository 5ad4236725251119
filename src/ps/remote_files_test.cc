#include "ps/remote_files.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "base/random.h"
#include "formats/says.h"
#include "ps/file_service.h"
#include "ps/in_process_network.h"
#include "ps/test_cluster.h"

namespace capstan {
namespace {

constexpr char kPart[] = "ck/model.ckpt-7.part-1.data-00000-of-00001";
constexpr uint64_t kRun = 5, kIncarnation = 9;

std::string RandomBytes(uint64_t seed, size_t size_bytes) {
  RandomStream random(seed);
  std::string bytes(size_bytes, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

// The chief's side, and a server's files through a network.
class RemoteFilesTest : public testing::Test {
 protected:
  class Chief : public RequestHandler {
   public:
    explicit Chief(FileSystem* fs)
        : service(fs, {.folder = "ck", .base_name = "model.ckpt", .servers = 2}) {}
    void Handle(Method method, std::string request, Reply reply) override {
      EXPECT_EQ(method, Method::kFile);
      service.Handle(std::move(request), std::move(reply));
    }
    FileService service;
  };

  void Start(const Adversary& adversary) {
    network_ = std::make_unique<InProcessNetwork>(adversary, 2);
    chief_ = std::make_unique<Chief>(&disk_);
    network_->Register("chief:1", chief_.get());
    transport_ = network_->TransportOf("ps1");
    chief_->service.Admit(1, kRun, kIncarnation);
    files_ = NewFiles(kIncarnation);
  }
  std::unique_ptr<RemoteFiles> NewFiles(uint64_t incarnation, uint64_t run = kRun) {
    return std::make_unique<RemoteFiles>(
        RemoteFilesOptions{.chief = "chief:1",
                           .run = run,
                           .server = 1,
                           .incarnation = incarnation,
                           .peer_timeout = std::chrono::hours(1),
                           .retry_delay = std::chrono::milliseconds(0)},
        transport_.get(), &clock_);
  }
  // The network outlives the replies of the chief's threads.
  void TearDown() override {
    if (network_ == nullptr) return;
    files_ = nullptr;
    network_->Register("chief:1", nullptr);
    chief_ = nullptr;
    network_->Stop();
    transport_ = nullptr;
    network_ = nullptr;
  }

  MemoryFileSystem memory_;
  FaultyFileSystem disk_{&memory_};
  SystemClock clock_;
  std::unique_ptr<InProcessNetwork> network_;
  std::unique_ptr<Chief> chief_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<RemoteFiles> files_;
};

// As a bundle's writer does it: pieces here and there, an index behind it, renamed when all is
// there.
TEST_F(RemoteFilesTest, WritesAndReadsOverABadNetwork) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    memory_.RemoveTree("ck").IgnoreError();
    ASSERT_TRUE(memory_.CreateFolder("ck").ok());
    TearDown();
    Start(LossyNetwork(seed));
    RandomStream random(seed);
    const std::string wanted = RandomBytes(seed, 5'000'000 + random.Below(3'000'000));
    const std::string temporary = std::string(kPart) + ".tmp";
    EXPECT_FALSE(files_->Exists(temporary));
    auto file = files_->Create(temporary);
    ASSERT_TRUE(file.ok()) << file.status();
    std::vector<std::pair<uint64_t, uint64_t>> pieces;  // from, to
    for (uint64_t at = 0; at < wanted.size();) {
      const uint64_t end = std::min<uint64_t>(wanted.size(), at + 1 + random.Below(200'000));
      pieces.emplace_back(at, end);
      at = end;
    }
    for (size_t i = pieces.size(); i-- > 0;) std::swap(pieces[i], pieces[random.Below(i + 1)]);
    for (const auto& [from, to] : pieces) {
      ASSERT_TRUE((*file)->WriteAt(from, std::string_view(wanted).substr(from, to - from)).ok());
    }
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
    ASSERT_TRUE(files_->Rename(temporary, kPart).ok());
    auto index = files_->Create("ck/model.ckpt-7.part-1.index");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE((*index)->Append("line\n").ok());
    ASSERT_TRUE((*index)->Close().ok());
    EXPECT_EQ(*ReadFile(memory_, "ck/model.ckpt-7.part-1.index"), "line\nline\nline\n");
    EXPECT_TRUE(*ReadFile(memory_, kPart) == wanted);

    EXPECT_TRUE(files_->Exists(kPart));
    const auto reader = files_->OpenForRead(kPart);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ((*reader)->size_bytes(), wanted.size());
    std::string read(wanted.size(), '\0');
    for (size_t at = 0; at < read.size();) {
      const size_t size = 1 + random.Below(300'000);
      const StatusOr<size_t> n = (*reader)->Read(at, std::min(size, read.size() - at), &read[at]);
      ASSERT_TRUE(n.ok()) << n.status();
      at += *n;
    }
    EXPECT_TRUE(read == wanted);
    for (int i = 0; i < 5; ++i) {  // anywhere
      const size_t at = random.Below(wanted.size());
      std::string piece(100, '\0');
      piece.resize(*(*reader)->Read(at, piece.size(), piece.data()));
      EXPECT_EQ(piece, wanted.substr(at, 100));
    }
    ASSERT_TRUE(files_->Remove(kPart).ok());
    EXPECT_FALSE(files_->Exists(kPart));
  }
}

TEST_F(RemoteFilesTest, ASmallReadIsNoRoundTrip) {
  memory_.Put("ck/model.ckpt-3.data-00000-of-00001", RandomBytes(1, 6 << 20));
  Start({});
  const auto reader = files_->OpenForRead("ck/model.ckpt-3.data-00000-of-00001");
  char buffer[1024];
  for (int i = 0; i < 6 << 10; ++i) ASSERT_TRUE((*reader)->Read(i << 10, 1024, buffer).ok());
  EXPECT_EQ(network_->statistics().requests, 4);
}

// A server changes its own parts only, and reads nothing but checkpoints of one folder.
TEST_F(RemoteFilesTest, NamesThatAreNotForAServer) {
  ASSERT_TRUE(memory_.CreateFolder("ck").ok());
  memory_.Put("ck/secret", "secret");
  memory_.Put("other/model.ckpt-3.index", "index");
  Start({});
  for (const char* name :
       {"model.ckpt-7.part-0.index", "model.ckpt-7.index", "checkpoint", "model.ckpt-7.part-1",
        "model.ckpt-x.part-1.index", "other-7.part-1.index", "model.ckpt-7.part-1.index.tmp.tmp",
        "model.ckpt-7.part-1.data-00000-of-00002", "model.ckpt-.part-1.index"}) {
    EXPECT_TRUE(Says(files_->Create(name).status(), "is no part of ps 1")) << name;
    EXPECT_FALSE(files_->Remove(name).ok()) << name;
    EXPECT_FALSE(files_->Rename("model.ckpt-7.part-1.index", name).ok()) << name;
  }
  EXPECT_TRUE(Says(files_->OpenForRead("ck/secret").status(), "it is no file of a checkpoint"));
  EXPECT_TRUE(absl::IsNotFound(files_->OpenForRead("ck/model.ckpt-3.index").status()));
  chief_->service.SetReadFolder("other");
  EXPECT_TRUE(files_->OpenForRead("anywhere/model.ckpt-3.index").ok());
  EXPECT_EQ(memory_.Paths(), (std::vector<std::string>{"ck/secret", "other/model.ckpt-3.index"}));

  for (const std::string name : {"", ".", "..", "../ck/secret", "/etc/passwd", "a/b", ".hidden",
                                 "model.ckpt-7..part-1.index"}) {
    EXPECT_FALSE(CheckFileName(name).ok()) << name;
  }
  EXPECT_FALSE(CheckFileName(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(CheckFileName(std::string(300, 'a')).ok());
  EXPECT_TRUE(CheckFileName("model.ckpt-7.index").ok());
  EXPECT_FALSE(files_->List("ck").ok());
  EXPECT_FALSE(files_->CreateFolder("ck/deeper").ok());
  EXPECT_FALSE(files_->RemoveTree("ck").ok());
}

// Requests as a peer might make them.
TEST_F(RemoteFilesTest, RequestsThatDoNotFit) {
  ASSERT_TRUE(memory_.CreateFolder("ck").ok());
  Start({});
  const auto ask = [&](const std::string& bytes) {
    std::atomic<bool> done = false;
    Status status;
    chief_->service.Handle(bytes, [&](StatusOr<std::string> answer) {
      status = answer.status();
      done = true;
    });
    while (!done) std::this_thread::yield();
    return status;
  };
  FileRequest request{.op = FileOp::kCreate,
                      .run = kRun,
                      .server = 1,
                      .incarnation = kIncarnation,
                      .number = 2,
                      .name = FileNameOf(kPart)};
  FileRequest other = request;
  other.server = 2;
  EXPECT_TRUE(Says(ask(other.Encode()), "file request of ps 2: there are 2 servers"));
  other = request;
  other.name = "../" + request.name;
  EXPECT_TRUE(Says(ask(other.Encode()), "wanted a name in the chief's folder"));
  ASSERT_TRUE(ask(request.Encode()).ok());
  request.op = FileOp::kWrite;
  request.number = 3;
  request.pieces = {{0, "abc"}};
  ASSERT_TRUE(ask(request.Encode()).ok());
  // The creation comes a second time, late: it does not empty the file.
  FileRequest late = request;
  late.op = FileOp::kCreate;
  late.number = 2;
  EXPECT_TRUE(Says(ask(late.Encode()), "comes behind change 3"));
  EXPECT_EQ(*ReadFile(memory_, kPart), "abc");
  request.number = 4;
  request.pieces = {{~uint64_t{0} - 5, "abc"}};
  EXPECT_TRUE(Says(ask(request.Encode()), "at offset"));
  const std::string big(kMaxFileChunkBytes, 'x');
  request.number = 5;
  request.pieces = {{0, big}, {0, "x"}};
  EXPECT_TRUE(Says(ask(request.Encode()), "bytes, at most 4194304 are taken"));
  request.op = FileOp::kRead;
  request.pieces = {};
  request.size_bytes = kMaxFileChunkBytes + 1;
  EXPECT_FALSE(ask(request.Encode()).ok());
  request.op = FileOp::kWrite;
  request.size_bytes = 0;
  request.pieces = {{1, "abc"}, {7, "d"}};
  const std::string good = request.Encode();
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ask(damaged).IgnoreError();
    ask(damaged.substr(0, bit / 8)).IgnoreError();
  }
  for (const std::string& path : memory_.Paths()) {
    EXPECT_TRUE(path.starts_with("ck/model.ckpt-") && path.find(".part-1.") != path.npos) << path;
  }
}

// What a server had open when it was lost is dropped, and its older copy is not heard any more.
TEST_F(RemoteFilesTest, AServerThatWasStartedAgain) {
  ASSERT_TRUE(memory_.CreateFolder("ck").ok());
  Start({});
  auto old = files_->Create(kPart);
  ASSERT_TRUE((*old)->Append("old").ok());
  ASSERT_TRUE((*old)->Flush().ok());
  chief_->service.Admit(1, kRun, kIncarnation + 1);
  const auto again = NewFiles(kIncarnation + 1);
  EXPECT_TRUE(again->Exists(kPart));
  auto file = again->Create(kPart);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*old)->Append("old").ok());
  EXPECT_TRUE(absl::IsAborted((*old)->Close()));
  EXPECT_TRUE(absl::IsAborted(files_->OpenForRead(kPart).status()));
  EXPECT_TRUE(absl::IsAborted(NewFiles(kIncarnation + 1, kRun + 1)->Remove(kPart)));
  ASSERT_TRUE((*file)->Append("new").ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ(*ReadFile(memory_, kPart), "new");
  EXPECT_TRUE(Says((*file)->Close(), "it is not open"));
}

TEST_F(RemoteFilesTest, AFullDiskOfTheChief) {
  ASSERT_TRUE(memory_.CreateFolder("ck").ok());
  Start(LossyNetwork(5));
  auto file = files_->Create(kPart);
  ASSERT_TRUE(file.ok());
  disk_.FailAfterBytes(10);
  ASSERT_TRUE((*file)->Append("more than there is room for").ok());
  const Status status = (*file)->Sync();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(Says(status, std::string("write ") + kPart));
}

// A restore waits for a chief that does not answer, until the server ends.
TEST_F(RemoteFilesTest, StopEndsWhatWaits) {
  Start({});
  network_->CutLink("", "chief:1");
  std::thread waits([&] { EXPECT_TRUE(absl::IsCancelled(files_->OpenForRead(kPart).status())); });
  while (network_->statistics().dropped_requests == 0) std::this_thread::yield();
  files_->Stop();
  waits.join();
  EXPECT_TRUE(absl::IsCancelled(files_->Remove(kPart)));
}

}  // namespace
}  // namespace capstan
