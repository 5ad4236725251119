#include "model/graph_builder.h"

#include <gtest/gtest.h>

#include "tensorflow/graph.pb.h"

namespace capstan {
namespace {

TEST(GraphBuilderTest, NamesAreLegalAndDistinct) {
  GraphBuilder graph;
  graph.Reserve("output");
  const GraphTensor x = graph.Floats("x", {}, std::vector<float>{1});
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ(graph.Unary("Relu", "x", x).name, "x_1");
  EXPECT_EQ(graph.Unary("Relu", "x", x).name, "x_2");
  EXPECT_EQ(graph.Unary("Relu", "a b", x).name, "a_b");
  EXPECT_EQ(graph.Unary("Relu", "_hidden", x).name, "n_hidden");
  EXPECT_EQ(graph.Unary("Relu", "", x).name, "node");
  EXPECT_EQ(graph.Unary("Relu", "output", x).name, "output_1");
  EXPECT_EQ(graph.AddReserved("Relu", "output", {{x}}, {{"T", DType::kFloat}}, DType::kFloat).name,
            "output");
}

TEST(GraphBuilderTest, OutputsAndControlInputs) {
  const GraphTensor tensor{"node:2", DType::kFloat};
  EXPECT_EQ(GraphBuilder::TensorName(tensor), "node:2");
  EXPECT_EQ(GraphBuilder::TensorName(GraphBuilder::OutputOf(tensor, 0, DType::kInt64)), "node:0");
  EXPECT_EQ(GraphBuilder::OutputOf(tensor, 3, DType::kInt64).name, "node:3");
  EXPECT_EQ(GraphBuilder::Control(tensor).name, "^node");
}

TEST(GraphBuilderTest, WritesAttributesInTheirForms) {
  GraphBuilder graph;
  graph.Add("Op", "op", {},
            {{"type", DType::kInt64},
             {"yes", true},
             {"int", int64_t{7}},
             {"float", 0.5f},
             {"text", std::string("abc")},
             {"shape", Shape{-1, 3}},
             {"any", GraphAttr()},
             {"no_types", std::vector<DType>{}},
             {"floats", std::vector<float>{1, 2}},
             {"words", std::vector<std::string>{"a"}},
             {"shapes", std::vector<Shape>{{2}, {}}}},
            DType::kInvalid);
  const auto def = graph.Release();
  const auto& attr = def->node(0).attr();
  EXPECT_EQ(attr.at("type").type(), tensorflow::DT_INT64);
  EXPECT_TRUE(attr.at("yes").b());
  EXPECT_EQ(attr.at("int").i(), 7);
  EXPECT_EQ(attr.at("float").f(), 0.5f);
  EXPECT_EQ(attr.at("text").s(), "abc");
  EXPECT_EQ(attr.at("shape").shape().dim(0).size(), -1);
  EXPECT_TRUE(attr.at("any").shape().unknown_rank());
  EXPECT_TRUE(attr.at("no_types").has_list());
  EXPECT_EQ(attr.at("floats").list().f_size(), 2);
  EXPECT_EQ(attr.at("words").list().s(0), "a");
  EXPECT_EQ(attr.at("shapes").list().shape(0).dim(0).size(), 2);
}

TEST(GraphBuilderTest, ConstantsAreLittleEndianAndShared) {
  GraphBuilder graph;
  EXPECT_EQ(graph.Scalar(-1).name, graph.Scalar(-1).name);
  EXPECT_NE(graph.Scalar(-1).name, graph.Scalar64(-1).name);
  graph.Strings("words", {2}, std::vector<std::string>{"", "a"});
  const auto def = graph.Release();
  ASSERT_EQ(def->node_size(), 3);
  EXPECT_EQ(def->node(0).attr().at("value").tensor().tensor_content(), "\xff\xff\xff\xff");
  EXPECT_EQ(def->node(2).attr().at("value").tensor().string_val_size(), 2);
}

}  // namespace
}  // namespace capstan
