// Goal: of every key it is known whether a reload changes it, and a reload changes exactly those. Method: one
// configuration with something of everything; each of its keys is changed alone, by the walk that reads the
// file, and the comparison must name that key and no other, and take it or leave it as its mark says. So a
// new key cannot be forgotten here.
#include "hub/config/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "hub/config/live_config.h"
#include "hub/config/schema.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* full = R"(hub: {name: hub-a}
spool: {directory: /spool}
listeners:
  - {name: in, address: "127.0.0.1:25", networks: [10.0.0.0/8]}
  - {name: other, address: "127.0.0.1:26"}
routes:
  - {name: partner, domains: [partner.example], hosts: ["10.0.0.9:25", "10.0.0.8:25"]}
  - {name: all, domains: ["*"]}
delivery:
  retry: [{times: 2, wait: 1min}, {wait: 5min}]
cluster:
  address: 127.0.0.1:2525
  secret_file: SECRET
  members: [{name: hub-a, address: "127.0.0.1:2525"}, {name: hub-b, address: "127.0.0.1:2526"}]
)";

/// Walks the values that are there and changes one of them, the `target`-th.
class Mutator final : public ConfigVisitor {
 public:
  struct Found {
    std::size_t count = 0;
    std::string key;  ///< its own name only
    TakesEffect takes_effect = TakesEffect::at_reload;
    bool is_inside_whole = false;  ///< of a list that is compared as a whole
    bool is_name = false;          ///< by which an element is known
  };
  Mutator(std::size_t target, Found& found, bool is_inside_whole = false, bool is_element = false)
      : target_(target), found_(found), is_inside_whole_(is_inside_whole), is_element_(is_element) {}

  void text(Key key, std::string& value, TextRule) override {
    if (is_it(key)) value += "x";
    if (key.name == "name" && is_element_ && found_.count == target_ + 1)
      found_.is_name = found_.key == "name";
  }
  void path(Key key, std::string& value) override {
    if (is_it(key)) value += "x";
  }
  void secret(Key key, std::string&, std::string& content) override {
    if (is_it(key)) content += "x";
  }
  void duration(Key key, Duration& value, DurationBounds) override {
    if (is_it(key)) value += std::chrono::seconds(1);
  }
  void endpoint(Key key, Endpoint& value, std::uint16_t) override {
    if (is_it(key)) value = {"127.0.0.7", 7};
  }
  void texts(Key key, std::vector<std::string>& values, TextRule) override {
    if (is_it(key)) values.emplace_back("new.example");
  }
  void endpoints(Key key, std::vector<Endpoint>& values, std::uint16_t) override {
    if (is_it(key)) values.push_back({"127.0.0.7", 7});
  }
  void ranges(Key key, std::vector<AddressRange>& values) override {
    if (is_it(key)) values.push_back(*AddressRange::parse("192.0.2.0/24"));
  }

 protected:
  void number64(Key key, std::uint64_t& value, Bounds) override {
    if (is_it(key)) ++value;
  }
  void size64(Key key, std::uint64_t& value, Bounds) override {
    if (is_it(key)) ++value;
  }
  void choice_index(Key key, std::size_t& value, std::span<const std::string_view> names) override {
    if (is_it(key)) value = (value + 1) % names.size();
  }
  void group_of(Heading, const Describe& describe) override {
    Mutator inner(target_, found_, is_inside_whole_);
    describe(inner);
  }
  bool walk_list(const Key& key, const Elements& elements) override {
    for (std::size_t i = 0; i < elements.count; ++i) {
      Mutator inner(target_, found_, is_inside_whole_ || key.takes_effect == TakesEffect::at_restart, true);
      elements.describe(i, inner);
    }
    return true;
  }
  bool list_of(Key, const Describe&) override { return false; }
  bool list_of_short(Key, const std::function<void(const Endpoint&)>&, std::uint16_t,
                     const Describe&) override {
    return false;
  }

 private:
  bool is_it(const Key& key) {
    if (found_.count++ != target_) return false;
    found_.key = std::string(key.name);
    found_.takes_effect = key.takes_effect;
    found_.is_inside_whole = is_inside_whole_;
    return true;
  }
  std::size_t target_;
  Found& found_;
  bool is_inside_whole_;
  bool is_element_;
};

class ConfigChanges : public testing::Test {
 protected:
  ConfigChanges() {
    ::unsetenv("UMBRA_CLUSTER_SECRET");
    std::filesystem::create_directories(folder);
    put_secret("correct horse battery staple");
    config = read(full);
  }
  ~ConfigChanges() override { std::filesystem::remove_all(folder); }

  void put_secret(const std::string& words) {
    std::ofstream(folder + "/secret") << words << "\n";
    ::chmod((folder + "/secret").c_str(), 0600);
  }
  std::string with_secret(std::string text) {
    if (auto at = text.find("SECRET"); at != std::string::npos) text.replace(at, 6, folder + "/secret");
    return text;
  }
  Config read(const std::string& text) {
    auto parsed = parse_config(with_secret(text), file);
    if (parsed) return *parsed;
    ADD_FAILURE() << to_string(parsed.error().front());
    return {};
  }
  static std::string replaced(std::string text, const std::string& what, const std::string& by) {
    auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  }
  std::vector<std::string> changes_to(const Config& after) {
    std::vector<std::string> all;
    for (const auto& change : changes_between(config, after)) all.push_back(to_string(change));
    return all;
  }
  void put(const std::string& text) { std::ofstream(file, std::ios::trunc) << with_secret(text); }
  /// What a reload of the file says, in one line.
  std::string refusal(const LiveConfig& live) {
    auto plan = live.read();
    return plan ? "accepted" : to_string(plan.error().front());
  }

  std::string folder = testing::TempDir() + "config_changes_" + std::to_string(::getpid());
  std::string file = folder + "/hub.yaml";
  Config config;
};

TEST_F(ConfigChanges, OfEveryKeyIsKnownWhetherAReloadChangesItAndItDoes) {
  EXPECT_THAT(changes_to(config), IsEmpty());
  std::size_t live = 0;
  std::size_t fixed = 0;
  for (std::size_t target = 0;; ++target) {
    auto wanted = config;
    Mutator::Found found;
    Mutator mutator(target, found);
    describe_config(mutator, wanted);
    if (found.count <= target) break;
    auto changes = changes_between(config, wanted);
    if (found.is_name && !found.is_inside_whole) {
      EXPECT_THAT(changes, SizeIs(2)) << "an element of another name is another one";
      continue;
    }
    ASSERT_THAT(changes, SizeIs(1)) << found.key << ", number " << target;
    EXPECT_EQ(changes[0].takes_effect, found.takes_effect) << changes[0].key;
    EXPECT_TRUE(found.is_inside_whole || changes[0].key.ends_with("." + found.key))
        << changes[0].key << " for " << found.key;
    EXPECT_NE(changes[0].from, changes[0].to) << changes[0].key;
    auto in_force = changes_between(config, with_restart_keys_of(config, wanted));
    if (found.takes_effect == TakesEffect::at_reload) {
      EXPECT_EQ(in_force, changes);
      ++live;
    } else {
      EXPECT_THAT(in_force, IsEmpty()) << changes[0].key;
      ++fixed;
    }
  }
  EXPECT_GT(live, 90U);
  EXPECT_GT(fixed, 30U);
}

/// Of every key in the schema: with what it takes effect.
void collect(const nlohmann::json& group, const std::string& path,
             std::map<std::string, std::string>& marks) {
  for (const auto& [name, property] : group.at("properties").items()) {
    auto here = path.empty() ? name : path + "." + name;
    const nlohmann::json* inner = property.contains("properties") ? &property : nullptr;
    if (property.contains("items")) {
      const auto& items = property["items"];
      if (items.contains("properties")) inner = &items;
      if (items.contains("anyOf")) inner = &items["anyOf"][1];
    }
    bool is_group = inner == &property;
    if (!is_group) marks[here] = property.value("x-takes-effect", "nothing");
    if (inner != nullptr) collect(*inner, here, marks);
  }
}

TEST_F(ConfigChanges, TheSchemaSaysItOfEveryKey) {
  std::map<std::string, std::string> marks;
  collect(nlohmann::json::parse(config_schema()), "", marks);
  EXPECT_GT(marks.size(), 100U);
  for (const auto& [key, mark] : marks)
    EXPECT_TRUE(mark == "reload" || mark == "restart") << key << ": " << mark;
  // What makes this hub the hub it is, and what its promises rest on.
  for (const char* key : {"hub.name", "spool.directory", "cluster.members", "cluster.members.name",
                          "cluster.secret_file", "cluster.ownership", "cluster.lease", "cluster.heartbeat",
                          "cluster.address", "cluster.tls.ca", "cluster.arbiter.endpoints"})
    EXPECT_EQ(marks[key], "restart") << key;
  for (const char* key :
       {"listeners", "listeners.networks", "listeners.limits.recipients", "listeners.shadow",
        "listeners.max_acknowledgement_delay", "routes", "routes.hosts", "routes.tls.policy",
        "delivery.retry", "delivery.expiry", "log.level", "safety_net.size"})
    EXPECT_EQ(marks[key], "reload") << key;
  // A list that is left as it is has no key inside that is not.
  for (const auto& [key, mark] : marks)
    for (const auto& [inner, inner_mark] : marks)
      if (mark == "restart" && inner.starts_with(key + ".")) EXPECT_EQ(inner_mark, "restart") << inner;
}

TEST_F(ConfigChanges, NamesWhatIsNewAndWhatIsGoneInOneLineEach) {
  auto after = read(replaced(
      replaced(replaced(full, "  - {name: other, address: \"127.0.0.1:26\"}\n", ""), "\"10.0.0.8:25\"]",
               "\"10.0.0.8:25\", \"10.0.0.7:25\"]"),
      "routes:\n", "routes:\n  - {name: new.one, domains: [new.example], hosts: [\"10.1.1.1:25\"]}\n"));
  EXPECT_THAT(changes_to(after), ElementsAre("listeners[other]: removed", "routes[new.one]: added",
                                             "routes[partner].hosts[2]: added (10.0.0.7:25)"));
  auto reordered = config;
  std::swap(reordered.routes[0], reordered.routes[1]);
  EXPECT_THAT(changes_to(reordered), IsEmpty()) << "elements with names are known by them";
}

TEST_F(ConfigChanges, AValueIsShownAsInTheFile) {
  auto after = read(replaced(
      replaced(full, "networks: [10.0.0.0/8]", "networks: [10.0.0.0/8, 192.0.2.7], limits: {recipients: 5}"),
      "{wait: 5min}", "{wait: 2h}"));
  EXPECT_THAT(changes_to(after),
              ElementsAre("delivery.retry[1].wait: 5min -> 2h", "listeners[in].limits.recipients: 1000 -> 5",
                          "listeners[in].networks: 10.0.0.0/8 -> 10.0.0.0/8, 192.0.2.7"));
}

TEST_F(ConfigChanges, AnotherSecretIsNamedAndNotShown) {
  put_secret("swordfish swordfish swordfish");
  auto plan = plan_reload(config, read(full));
  ASSERT_TRUE(plan);
  ASSERT_THAT(plan->waiting, SizeIs(1));
  EXPECT_EQ(plan->waiting[0].key, "cluster.secret_file");
  EXPECT_EQ(to_string(plan->waiting[0]).find("swordfish"), std::string::npos);
  EXPECT_EQ(to_string(plan->waiting[0]).find("horse"), std::string::npos);
  EXPECT_EQ(plan->next.cluster.secret, "correct horse battery staple");
}

TEST_F(ConfigChanges, TakesWhatItCanAndNamesTheRest) {
  auto plan = plan_reload(
      config, read(replaced(replaced(full, "name: in,", "name: in, limits: {hops: 7},"),
                            "  address: 127.0.0.1:2525\n", "  address: 127.0.0.1:2525\n  lease: 20s\n")));
  ASSERT_TRUE(plan);
  ASSERT_THAT(plan->changed, SizeIs(1));
  EXPECT_EQ(plan->changed[0].key, "listeners[in].limits.hops");
  ASSERT_THAT(plan->waiting, SizeIs(1));
  EXPECT_EQ(to_string(plan->waiting[0]), "cluster.lease: 10s -> 20s");
  EXPECT_EQ(plan->next.listeners[0].limits.hops_max, 7U);
  EXPECT_EQ(plan->next.cluster.lease, std::chrono::seconds(10));
}

TEST_F(ConfigChanges, RefusesWhatWouldNeedTheClusterOfTheFile) {
  constexpr const char* alone =
      "hub: {name: hub-a}\nspool: {directory: /spool}\nroutes: [{name: all, domains: ['*']}]\n"
      "listeners: [{name: in, address: '127.0.0.1:25', shadow: none}]\n";
  config = read(alone);
  auto plan = plan_reload(config, read(full));
  ASSERT_FALSE(plan) << "under require, without a cluster, nothing would be on two hubs";
  EXPECT_THAT(to_string(plan.error().front()), HasSubstr("cluster.members"));
  EXPECT_THAT(to_string(plan.error().front()), HasSubstr("Start the hub again"));
}

TEST_F(ConfigChanges, ABrokenFileIsRefusedWithItsLineAndNothingChanges) {
  put(full);
  auto loaded = load_config(file);
  ASSERT_TRUE(loaded);
  LiveConfig live(*loaded);
  EXPECT_EQ(refusal(live), "accepted");
  put(replaced(full, "wait: 5min", "wait: soon"));
  EXPECT_THAT(refusal(live), HasSubstr(file + ":10: delivery.retry[1].wait: \"soon\" is not valid"));
  put(replaced(full, "name: in, ", "name: in, colour: red, "));
  EXPECT_THAT(refusal(live), HasSubstr(file + ":4: unknown key \"colour\""));
  put("");
  EXPECT_THAT(refusal(live), HasSubstr("the file says nothing"));
  put("- a list\n");
  EXPECT_THAT(refusal(live), HasSubstr("the file must be a group of keys"));
  put("hub: [");
  EXPECT_THAT(refusal(live), HasSubstr("not YAML"));
  put(std::string(100'000, '['));
  EXPECT_NE(refusal(live), "accepted") << "deep, and no reason to run out of stack";
  put(std::string(full) + "#" + std::string(10U << 20, 'x'));
  EXPECT_THAT(refusal(live), HasSubstr("is larger than"));
  put(std::string("hub: \0\x01\xff", 8));
  EXPECT_NE(refusal(live), "accepted");
  std::filesystem::remove(file);
  EXPECT_THAT(refusal(live), HasSubstr("cannot be opened: No such file"));
  std::filesystem::create_directory(file);
  EXPECT_THAT(refusal(live), HasSubstr("is a directory"));
  EXPECT_THAT(changes_between(*loaded, live.now()), IsEmpty());
}

TEST_F(ConfigChanges, WhatIsInForceStaysAtItsPlace) {
  LiveConfig live(config);
  const Config& held = live.now();
  const auto& members = held.cluster.members.front().name;
  const auto* place = members.data();
  auto wanted = config;
  wanted.delivery.expiry = std::chrono::hours(1);
  wanted.cluster.lease = std::chrono::hours(1);
  auto plan = plan_reload(live.now(), wanted);
  ASSERT_TRUE(plan);
  live.apply(std::move(*plan));
  EXPECT_EQ(held.delivery.expiry, std::chrono::hours(1)) << "whoever reads it has the new value";
  EXPECT_EQ(held.cluster.lease, std::chrono::seconds(10));
  EXPECT_EQ(held.cluster.members.front().name.data(), place) << "what no reload changes may be referred to";
  EXPECT_THAT(live.state().waiting, SizeIs(1));
  live.refuse({{"f", 3, "no"}});
  EXPECT_TRUE(live.state().is_refused);
  EXPECT_THAT(live.state().waiting, SizeIs(1)) << "it still waits";
}

}  // namespace
}  // namespace umbra::hub
