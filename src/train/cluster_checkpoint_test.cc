// Checkpoints of servers that have disks of their own, over a bad network.
#include "train/cluster_checkpoint.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/memory_file_system.h"
#include "formats/bundle_digest.h"
#include "formats/says.h"
#include "model/model_file.h"
#include "ps/file_service.h"
#include "ps/in_process_network.h"
#include "ps/setup_message.h"
#include "train/cluster_hello.h"
#include "train/folder_nonce.h"
#include "train/rescue.h"
#include "train/server_task.h"

namespace capstan {
namespace {

constexpr char kModel[] = R"(
model: wide_and_deep
features:
  - {name: "I{1..13}", type: float}
  - {name: "C{1..26}", type: id, dim: 4}
deep: {hidden: [16, 8]}
optimizer: adam
)";
constexpr std::chrono::milliseconds kDeadline{1000};
constexpr uint64_t kJob = 77;

// The chief's side of `servers` servers, each with a disk of its own; `shared`: all have the
// chief's.
class Job {
 public:
  Job(MemoryFileSystem* disk, int servers, uint64_t seed, bool shared)
      : disk_(disk),
        spec_(ParseModelFile(kModel, "model.yaml").value()),
        model_(NewModel(spec_).value()),
        network_({.seed = seed,
                  .drop_request = 0.1,
                  .drop_answer = 0.1,
                  .duplicate = 0.1,
                  .delay = 0.1,
                  .reorder = true},
                 3),
        chief_(disk, servers),
        transport_(network_.TransportOf("chief")) {
    options_.spec.workers = {"chief:1"};
    for (int i = 0; i < servers; ++i) options_.spec.ps.push_back(fmt::format("ps{}:1", i));
    options_.incarnation = 1;
    options_.mode = TrainMode::kSync;
    network_.Register("chief:1", &chief_);
    EXPECT_TRUE(disk->CreateFolder("ck").ok());
    nonce_ = WriteFolderNonce(*disk, "ck", seed).value();
    folder_ = std::make_unique<CheckpointFolder>(
        CheckpointFolder::Open(disk, "ck", "model.ckpt", 5).value());
    checkpoint_ = std::make_unique<ClusterCheckpoint>(disk, transport_.get(), folder_.get(),
                                                      model_.get(), options_, "");
    disks_.resize(servers);
    tasks_.resize(servers);
    for (int i = 0; i < servers; ++i) {
      pools_.push_back(std::make_unique<WorkerPool>(1));
      transports_.push_back(network_.TransportOf(options_.spec.ps[i]));
      StartServer(i, shared);
    }
  }
  ~Job() {
    for (size_t i = 0; i < tasks_.size(); ++i) StopServer(static_cast<int>(i));
    network_.Stop();
  }

  void StopServer(int i) {
    network_.Register(options_.spec.ps[i], nullptr);
    tasks_[i] = nullptr;
  }
  void StartServer(int i, bool shared) {
    ClusterOptions options = options_;
    options.spec.role = TaskRole::kPs;
    options.spec.index = i;
    options.incarnation = ++incarnations_;
    options.peer_timeout = std::chrono::hours(1);
    disks_[i] = shared ? nullptr : std::make_unique<MemoryFileSystem>();
    FileSystem* const disk = shared ? disk_ : disks_[i].get();
    tasks_[i] = std::make_unique<ServerTask>(disk, pools_[i].get(), &clock_, transports_[i].get(),
                                             options, "", [this](const std::string& line) {
                                               MutexLock lock(&mutex_);
                                               log_ += line + "\n";
                                             });
    network_.Register(options_.spec.ps[i], tasks_[i].get());
    chief_.files.Admit(i, run_.run, options.incarnation);
    SetupMessage setup;
    setup.chief = MakeHello(options_, options.spec.task_name(), kJob);
    setup.run = run_.run;
    setup.model_file = ToModelFile(spec_);
    setup.mode = options_.mode;
    setup.folder = "ck";
    setup.nonce = nonce_;
    Status status;
    do {
      status = CallAndWait(transport_.get(), options_.spec.ps[i], Method::kSetup, setup.Encode(),
                           kDeadline)
                   .status();
    } while (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
    EXPECT_TRUE(status.ok()) << status;
  }

  Status Begin(const std::string& prefix) {
    ++run_.generation;
    ControlRound round(transport_.get(), options_.spec.ps,
                       {.kind = ControlKind::kBegin, .run = run_, .prefix = prefix}, kDeadline);
    while (!round.done()) Turn([&] { round.Resend(now_); });
    return round.status();
  }
  // As of `step`.
  Status Save(int64_t step) {
    checkpoint_->Start(run_, step, step);
    return FinishSaving();
  }
  Status FinishSaving() {
    while (!checkpoint_->ready()) Turn([&] { checkpoint_->Advance(now_); });
    return checkpoint_->Finish({.step = checkpoint_->step()}, nullptr, false);
  }
  std::string Digest(int64_t step) {
    const auto reader = TensorBundleReader::Open(*disk_, folder_->PrefixOf(step));
    return reader.ok() ? DigestBundle(**reader).value() : Message(reader.status());
  }
  std::string log() {
    MutexLock lock(&mutex_);
    return log_;
  }
  ClusterCheckpoint& checkpoint() { return *checkpoint_; }
  InProcessNetwork& network() { return network_; }
  MemoryFileSystem& disk_of(int server) { return *disks_[server]; }
  const RunId& run() const { return run_; }

 private:
  struct Chief : public RequestHandler {
    Chief(FileSystem* fs, int servers)
        : files(fs, {.folder = "ck", .base_name = "model.ckpt", .servers = servers}) {}
    void Handle(Method method, std::string request, Reply reply) override {
      EXPECT_EQ(method, Method::kFile);
      files.Handle(std::move(request), std::move(reply));
    }
    FileService files;
  };
  template <typename F>
  void Turn(const F& what) {
    now_ += std::chrono::microseconds(10'000);
    what();
    std::this_thread::yield();
  }

  MemoryFileSystem* const disk_;
  const ModelSpec spec_;
  const std::unique_ptr<Model> model_;
  ClusterOptions options_;
  std::vector<std::unique_ptr<WorkerPool>> pools_;
  SystemClock clock_;
  InProcessNetwork network_;
  Chief chief_;
  std::unique_ptr<Transport> transport_;
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::unique_ptr<MemoryFileSystem>> disks_;
  std::vector<std::unique_ptr<ServerTask>> tasks_;
  std::string nonce_;
  std::unique_ptr<CheckpointFolder> folder_;
  std::unique_ptr<ClusterCheckpoint> checkpoint_;
  RunId run_{.run = 5, .generation = 0};
  uint64_t incarnations_ = 100;
  std::chrono::microseconds now_{0};
  Mutex mutex_;
  std::string log_ GUARDED_BY(mutex_);
};

// Whatever is lost on the way, and onto another number of servers.
TEST(ClusterCheckpointTest, ServersThatDoNotSeeTheFolder) {
  std::string wanted;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(seed);
    MemoryFileSystem disk;
    Job job(&disk, 2, seed, false);
    ASSERT_TRUE(job.Begin("").ok());
    const Status saved = job.Save(0);
    ASSERT_TRUE(saved.ok()) << saved;
    if (wanted.empty()) wanted = job.Digest(0);
    EXPECT_EQ(job.Digest(0), wanted);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(job.disk_of(i).Paths().empty());
    EXPECT_NE(job.log().find("the folder ck of worker 0 is not seen from here"), std::string::npos);
    for (const std::string& path : disk.Paths()) EXPECT_EQ(path.find(".part-"), path.npos) << path;

    // One is lost, and all go back.
    job.StopServer(1);
    job.StartServer(1, false);
    ASSERT_TRUE(job.Begin("ck/model.ckpt-0").ok());
    ASSERT_TRUE(job.Save(0).ok());
    EXPECT_EQ(job.Digest(0), wanted);

    Job other(&disk, 3, seed + 100, false);
    const Status begun = other.Begin("ck/model.ckpt-0");
    ASSERT_TRUE(begun.ok()) << begun;
    ASSERT_TRUE(other.Save(0).ok());
    EXPECT_EQ(other.Digest(0), wanted);
  }
  MemoryFileSystem disk;
  Job shared(&disk, 2, 9, true);
  ASSERT_TRUE(shared.Begin("").ok());
  ASSERT_TRUE(shared.Save(0).ok());
  EXPECT_EQ(shared.Digest(0), wanted);
  EXPECT_EQ(shared.log().find("not seen from here"), std::string::npos);
}

// The snapshots are taken long before the parts are written.
TEST(ClusterCheckpointTest, ACutIsAnsweredBeforeItsPartIsWritten) {
  MemoryFileSystem disk;
  Job job(&disk, 2, 11, false);
  ASSERT_TRUE(job.Begin("").ok());
  job.network().CutLink("ps0:1", "chief:1");  // its part cannot be written
  job.checkpoint().Start(job.run(), 0, 0);
  std::chrono::microseconds now{0};
  while (!job.checkpoint().all_cut()) {
    job.checkpoint().Advance(now += std::chrono::microseconds(10'000));
  }
  EXPECT_FALSE(job.checkpoint().ready());
  job.network().Heal();
  EXPECT_TRUE(job.FinishSaving().ok());
}

// A request that comes late, to a server that is beyond the step, costs this checkpoint and no
// more.
TEST(ClusterCheckpointTest, ACutThatIsMissed) {
  MemoryFileSystem disk;
  Job job(&disk, 2, 12, true);
  ASSERT_TRUE(job.Begin("").ok());
  ASSERT_TRUE(job.Save(0).ok());
  job.checkpoint().Start(job.run(), -1, 0);
  while (!job.checkpoint().missed()) std::this_thread::yield();
  job.checkpoint().Abandon();
  EXPECT_FALSE(job.checkpoint().busy());
  EXPECT_TRUE(job.Save(0).ok());
}

// A server that has been started again says so in both phases; that is for the chief to handle.
TEST(ClusterCheckpointTest, AServerThatIsGone) {
  MemoryFileSystem disk;
  Job job(&disk, 2, 13, true);
  ASSERT_TRUE(job.Begin("").ok());
  job.StopServer(1);
  job.StartServer(1, true);
  EXPECT_TRUE(absl::IsAborted(job.Save(0)));
  EXPECT_FALSE(job.checkpoint().busy());
}

}  // namespace
}  // namespace capstan
