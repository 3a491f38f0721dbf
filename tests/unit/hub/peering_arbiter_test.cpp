// The wire of the arbiters: what is sent to etcd and to the Kubernetes API, and that whatever they answer is
// bounded and checked.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "hub/peering/arbiter_etcd.h"
#include "hub/peering/arbiter_kubernetes.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::json;
using cluster::ArbiterRecord;

ArbiterRecord record() {
  return {"mx_1", SpoolId{7}, Epoch{3}, false, true, 8s, "r", "12"};
}

TEST(EtcdArbiter, ASwapComparesTheRevision) {
  auto json = Json::parse(etcd_txn_request("umbra-", record()));
  EXPECT_EQ(json["compare"][0]["mod_revision"], "12");
  EXPECT_EQ(json["compare"][0]["key"], "dW1icmEtbXhfMQ==");
  auto fresh = record();
  fresh.version.clear();
  EXPECT_EQ(Json::parse(etcd_txn_request("umbra-", fresh))["compare"][0]["mod_revision"], "0");
}

TEST(EtcdArbiter, ReadsBackWhatItWrites) {
  auto sent = Json::parse(etcd_txn_request("umbra-", record()))["success"][0]["request_put"];
  Json answer{
      {"header", Json::object()},
      {"kvs", Json::array({{{"key", sent["key"]}, {"value", sent["value"]}, {"mod_revision", "12"}}})}};
  auto records = parse_etcd_range(answer.dump(), "umbra-");
  ASSERT_TRUE(records);
  EXPECT_EQ(*records, std::vector{record()});
}

TEST(EtcdArbiter, AnswersThatAreNotItsOwnSayNothing) {
  for (const char* body :
       {"", "{", "[]", "null", "{}", R"({"error":"no leader"})", R"({"header":{},"kvs":7})"})
    EXPECT_FALSE(parse_etcd_range(body, "umbra-")) << body;
  for (const char* body : {"", "{}", "7", R"({"header":{},"succeeded":"yes"})"})
    EXPECT_FALSE(parse_etcd_txn(body)) << body;
  EXPECT_EQ(parse_etcd_txn(R"({"header":{}})"), false);
  EXPECT_EQ(parse_etcd_txn(R"({"header":{},"succeeded":true})"), true);
  // Keys of others, and values that somebody wrote by hand, are no records.
  auto strange =
      parse_etcd_range(R"({"header":{},"kvs":[7,{},{"key":"dW1icmEteA==","value":"e30=","mod_revision":"1"},)"
                       R"({"key":"!!","value":"","mod_revision":"1"}]})",
                       "umbra-");
  ASSERT_TRUE(strange);
  EXPECT_TRUE(strange->empty());
}

TEST(KubernetesArbiter, ReadsBackWhatItWrites) {
  auto lease = Json::parse(kubernetes_lease("umbra-", "mail", record(), WallTime{1'700'000'000'123'456us}));
  EXPECT_EQ(lease["metadata"]["name"], "umbra-mx-1");
  EXPECT_EQ(lease["metadata"]["resourceVersion"], "12");
  EXPECT_EQ(lease["spec"]["renewTime"], "2023-11-14T22:13:20.123456Z");
  auto records = parse_kubernetes_leases(Json{{"items", Json::array({lease})}}.dump(), "umbra-");
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 1U);
  auto expected = record();
  expected.renewal = "2023-11-14T22:13:20.123456Z";
  EXPECT_EQ(records->front(), expected);
}

TEST(KubernetesArbiter, AnswersThatAreNotItsOwnSayNothing) {
  for (const char* body : {"", "[]", "{}", R"({"items":{}})", R"({"kind":"Status"})"})
    EXPECT_FALSE(parse_kubernetes_leases(body, "umbra-")) << body;
  auto strange = parse_kubernetes_leases(
      R"({"items":[null,7,{"metadata":7,"spec":[]},{"metadata":{"annotations":{}},"spec":{}}]})", "umbra-");
  ASSERT_TRUE(strange);
  EXPECT_TRUE(strange->empty());
}

}  // namespace
}  // namespace umbra::hub
