#include "params/row_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "base/random.h"
#include "params/age_window.h"
#include "params/initial_values.h"

namespace capstan {
namespace {

TableSpec Spec() {
  TableSpec spec;
  spec.name = "user";
  spec.parts = {{.name = "wide", .dim = 1},
                {.name = "embedding",
                 .dim = 8,
                 .initializer = {.kind = Initializer::Kind::kUniform, .scale = 0.1f}}};
  return spec;
}

std::vector<char*> FindOrInsert(RowTable* table, std::vector<uint64_t> keys, int64_t step,
                                uint32_t count = 1) {
  std::vector<uint32_t> counts(keys.size(), count);
  std::vector<char*> rows(keys.size());
  EXPECT_TRUE(table->FindOrInsert(keys, counts, step, rows.data()).ok());
  return rows;
}

std::vector<uint64_t> KeysOf(const RowTable& table) {
  std::vector<uint64_t> keys;
  table.ForEachRow([&](const char* row) { keys.push_back(RowLayout::Key(row)); });
  return keys;
}

TEST(RowTable, MakesFindsAndCountsRows) {
  auto table = RowTable::Create(Spec(), 1).value();
  const std::vector<char*> rows = FindOrInsert(table.get(), {5, 0, ~0ull}, 3, 2);
  EXPECT_EQ(FindOrInsert(table.get(), {~0ull, 7, 5}, 4)[0], rows[2]);
  EXPECT_EQ(RowLayout::Key(rows[0]), 5u);
  EXPECT_EQ(RowLayout::Count(rows[0]), 3u);
  EXPECT_EQ(RowLayout::LastStep(rows[0]), 4u);
  EXPECT_EQ(RowLayout::LastStep(rows[1]), 3u);
  EXPECT_EQ(table->row_count(), 4);
  const uint64_t keys[] = {0, 1, 7};
  const char* found[3];
  table->Find(keys, found);
  EXPECT_EQ(found[0], rows[1]);
  EXPECT_EQ(found[1], nullptr);
  EXPECT_NE(found[2], nullptr);
  EXPECT_EQ(KeysOf(*table), (std::vector<uint64_t>{5, 0, ~0ull, 7}));
}

TEST(RowTable, CountsStopAtTheirMost) {
  auto table = RowTable::Create(Spec(), 1).value();
  FindOrInsert(table.get(), {1}, 1, 0xfffffff0u);
  EXPECT_EQ(RowLayout::Count(FindOrInsert(table.get(), {1}, 2, 100)[0]), 0xffffffffu);
}

TEST(RowTable, InitialValuesDependOnKeyAndSeedOnly) {
  auto a = RowTable::Create(Spec(), 1).value();
  auto b = RowTable::Create(Spec(), 1).value();
  auto c = RowTable::Create(Spec(), 2).value();
  const char* row_a = FindOrInsert(a.get(), {1, 2, 3}, 1)[2];
  const char* row_b = FindOrInsert(b.get(), {3, 9}, 5)[0];
  const char* row_c = FindOrInsert(c.get(), {3}, 1)[0];
  const int rest = a->layout().row_bytes() - RowLayout::kHeaderBytes;
  EXPECT_EQ(std::memcmp(row_a + 16, row_b + 16, rest), 0);
  EXPECT_NE(std::memcmp(row_a + 16, row_c + 16, rest), 0);
  const float* floats = reinterpret_cast<const float*>(row_a);
  EXPECT_EQ(floats[a->layout().weights_offset(0)], 0.0f);
  EXPECT_EQ(floats[a->layout().slot_offset(1, 0)], 0.1f);
}

TEST(InitialValues, HaveTheirDistributions) {
  std::vector<float> values(100000);
  for (const auto kind : {Initializer::Kind::kUniform, Initializer::Kind::kNormal,
                          Initializer::Kind::kTruncatedNormal}) {
    FillInitialValues({.kind = kind, .scale = 2.0f}, ValueStream(1, "w"), 0, values);
    double sum = 0, squares = 0, most = 0;
    for (const float v : values) {
      sum += v;
      squares += v * v;
      most = std::max<double>(most, std::abs(v));
    }
    EXPECT_NEAR(sum / 1e5, 0, 0.03);
    const double deviation = std::sqrt(squares / 1e5);
    const double wanted[] = {0, 0, 2 / std::sqrt(3.0), 2, 2 * 0.8796};
    EXPECT_NEAR(deviation, wanted[static_cast<int>(kind)], 0.02);
    EXPECT_LE(most, kind == Initializer::Kind::kUniform           ? 2.0
                    : kind == Initializer::Kind::kTruncatedNormal ? 4.0
                                                                  : 12.0);
  }
  std::vector<float> tail(10);
  FillInitialValues({.kind = Initializer::Kind::kUniform, .scale = 2.0f}, ValueStream(1, "w"), 90,
                    tail);
  FillInitialValues({.kind = Initializer::Kind::kUniform, .scale = 2.0f}, ValueStream(1, "w"), 0,
                    values);
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), values.begin() + 90));
}

TEST(RowTable, AdmitsKeysThatWereSeenOftenEnough) {
  TableSpec spec = Spec();
  spec.admission_count = 3;
  auto table = RowTable::Create(spec, 1).value();
  EXPECT_EQ(FindOrInsert(table.get(), {1, 2}, 1)[0], nullptr);
  EXPECT_EQ(FindOrInsert(table.get(), {1}, 2)[0], nullptr);
  EXPECT_EQ(table->filtered_count(), 2);
  EXPECT_EQ(FindOrInsert(table.get(), {1}, 3)[0], nullptr);
  const char* row = FindOrInsert(table.get(), {1}, 4)[0];
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(RowLayout::Count(row), 4u);
  // However often it comes in one step.
  EXPECT_EQ(FindOrInsert(table.get(), {4}, 4, 3)[0], nullptr);
  EXPECT_NE(FindOrInsert(table.get(), {4}, 5)[0], nullptr);
  EXPECT_EQ(table->filtered_count(), 1);
  EXPECT_EQ(table->row_count(), 2);
  ASSERT_TRUE(table->InsertFiltered(8, 3, 5).ok());
  EXPECT_NE(FindOrInsert(table.get(), {8}, 6)[0], nullptr);
  EXPECT_FALSE(table->InsertFiltered(2, 1, 5).ok());
}

// Peek sees what FindOrInsert would give, and changes nothing.
TEST(RowTable, PeekForesees) {
  TableSpec spec = Spec();
  spec.expiry_steps = 5;
  for (const uint32_t admission : {0u, 2u}) {
    spec.admission_count = admission;
    auto table = RowTable::Create(spec, 1).value();
    const int row_floats = table->layout().row_bytes() / 4;
    RandomStream random(5);
    std::vector<char> made;
    for (int64_t step = 1; step <= 500; ++step) {
      std::vector<uint64_t> keys;
      for (int i = 0; i < 100; ++i) keys.push_back(random.Below(300) << 3 | i % 8);
      std::sort(keys.begin(), keys.end());
      keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
      std::vector<const char*> foreseen(keys.size());
      const int64_t rows = table->row_count(), filtered = table->filtered_count();
      ASSERT_TRUE(table->Peek(keys, step, &made, foreseen.data()).ok());
      ASSERT_EQ(table->row_count(), rows);
      ASSERT_EQ(table->filtered_count(), filtered);
      std::vector<std::vector<float>> values(keys.size());
      for (size_t i = 0; i < keys.size(); ++i) {
        if (foreseen[i] == nullptr) continue;
        const float* floats = reinterpret_cast<const float*>(foreseen[i]);
        values[i].assign(floats + 4, floats + row_floats);
      }
      const std::vector<char*> got = FindOrInsert(table.get(), keys, step);
      for (size_t i = 0; i < keys.size(); ++i) {
        ASSERT_EQ(got[i] == nullptr, values[i].empty()) << step;
        if (got[i] == nullptr) continue;
        float* floats = reinterpret_cast<float*>(got[i]);
        for (int f = 4; f < 13; ++f) ASSERT_EQ(floats[f], values[i][f - 4]);
        floats[4] += 1.0f;
      }
      table->Sweep(20);
    }
  }
  spec.dense_size = 10;
  spec.admission_count = 0;
  auto table = RowTable::Create(spec, 1).value();
  std::vector<char> made;
  const uint64_t key = 10;
  const char* row;
  EXPECT_EQ(Message(table->Peek({&key, 1}, 1, &made, &row)),
            "table user: id 10, wanted one below 10");
}

// Sweeping takes memory back but changes nothing that can be seen.
TEST(RowTable, ExpiryIsExactWhetherSweptOrNot) {
  TableSpec spec = Spec();
  spec.admission_count = 2;
  spec.expiry_steps = 5;
  auto swept = RowTable::Create(spec, 1).value();
  auto unswept = RowTable::Create(spec, 1).value();
  std::map<uint64_t, std::pair<uint32_t, int64_t>> seen;  // count, last step
  RandomStream random(3);
  for (int64_t step = 1; step <= 2000; ++step) {
    std::vector<uint64_t> keys;
    for (int i = 0; i < 20; ++i) {
      const uint64_t key = random.Below(200);
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
    const std::vector<char*> a = FindOrInsert(swept.get(), keys, step);
    const std::vector<char*> b = FindOrInsert(unswept.get(), keys, step);
    swept->Sweep(1 + step % 60);
    for (size_t i = 0; i < keys.size(); ++i) {
      auto& [count, last] = seen[keys[i]];
      if (count > 0 && step - last > 5) count = 0;
      ++count;
      last = step;
      ASSERT_EQ(a[i] != nullptr, count >= 3) << step;
      ASSERT_EQ(b[i] != nullptr, count >= 3) << step;
      if (count < 3) continue;
      ASSERT_EQ(RowLayout::Count(a[i]), count);
      // A weight that remembers whether the row was made anew.
      float& wa = reinterpret_cast<float*>(a[i])[4];
      float& wb = reinterpret_cast<float*>(b[i])[4];
      ASSERT_EQ(wa, wb);
      ASSERT_EQ(wa, static_cast<float>(count - 3));
      wa += 1.0f;
      wb += 1.0f;
    }
    int64_t rows = 0, filtered = 0;
    for (const auto& [key, entry] : seen) {
      if (step - entry.second <= 5) ++(entry.first >= 3 ? rows : filtered);
    }
    ASSERT_EQ(swept->row_count(), rows);
    ASSERT_EQ(unswept->row_count(), rows);
    ASSERT_EQ(swept->filtered_count(), filtered);
    ASSERT_EQ(static_cast<int64_t>(KeysOf(*unswept).size()), rows);
    ASSERT_EQ(static_cast<int64_t>(KeysOf(*swept).size()), rows);
  }
  EXPECT_LT(swept->memory_bytes(), unswept->memory_bytes());
}

TEST(RowTable, InsertsForRestoresAndRefusesWhatCannotBe) {
  TableSpec spec = Spec();
  spec.dense_size = 10;
  auto table = RowTable::Create(spec, 1).value();
  char* row = table->Insert(4, 17, 100).value();
  EXPECT_EQ(RowLayout::Count(row), 17u);
  EXPECT_EQ(FindOrInsert(table.get(), {4}, 101)[0], row);
  EXPECT_EQ(Message(table->Insert(4, 1, 1).status()), "table user: key 4 comes twice");
  const uint64_t keys[] = {7, 8, 7};
  const uint32_t counts[] = {3, 2, 1};
  const int64_t steps[] = {100, 101, 101};
  char* rows[3];
  EXPECT_TRUE(table->InsertBatch({keys, 2}, {counts, 2}, {steps, 2}, rows).ok());
  EXPECT_EQ(RowLayout::Count(rows[1]), 2u);
  EXPECT_EQ(Message(table->InsertBatch({keys + 2, 1}, {counts, 1}, {steps, 1}, nullptr)),
            "table user: key 7 comes twice");
  EXPECT_EQ(Message(table->Insert(10, 1, 1).status()), "table user: id 10, wanted one below 10");
}

TEST(AgeWindow, RestoredInAnyOrder) {
  AgeWindow window = AgeWindow::Create(100).value();
  window.Add(5);
  window.Add(1000);
  window.Add(900);
  window.Add(899);
  EXPECT_EQ(window.alive(), 2);
  window.Advance(1001);
  EXPECT_EQ(window.alive(), 1);
  window.Advance(5000);
  EXPECT_EQ(window.alive(), 0);
  EXPECT_TRUE(window.Expired(4899));
  EXPECT_FALSE(window.Expired(4900));
}

}  // namespace
}  // namespace capstan
