// Reading the configuration file: what is accepted, and every problem named at its line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hub/config/bounce_profile.h"
#include "hub/config/config.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* alone = R"(hub: {name: a}
spool: {directory: /spool}
routes: [{name: all, domains: ["*"]}]
listeners:
  - {name: in, address: "127.0.0.1:25", shadow: none}
)";

/// The problems of a text, as an operator sees them.
std::vector<std::string> problems_of(const std::string& text) {
  auto config = parse_config(text, "/etc/umbra.yaml");
  std::vector<std::string> lines;
  if (!config) {
    for (const auto& problem : config.error()) lines.push_back(to_string(problem));
  }
  return lines;
}

class ConfigParse : public testing::Test {
 protected:
  ConfigParse() { ::unsetenv("UMBRA_CLUSTER_SECRET"); }
};

/// A cluster whose secret comes from the environment.
class ClusterParse : public testing::Test {
 protected:
  ClusterParse() { ::setenv("UMBRA_CLUSTER_SECRET", "sixteen octets or more", 1); }
  ~ClusterParse() override { ::unsetenv("UMBRA_CLUSTER_SECRET"); }

  static std::string with(const std::string& cluster, const std::string& shadow = "") {
    return "hub: {name: a}\nspool: {directory: /spool}\nroutes: [{name: all, domains: ['*']}]\nlisteners:\n  "
           "- {name: in, address: \"127.0.0.1:25\"" +
           (shadow.empty() ? "" : ", shadow: " + shadow) + "}\ncluster:\n" + cluster;
  }
  static constexpr const char* two_hubs =
      "  address: 127.0.0.1:2525\n  members: [{name: a, address: \"127.0.0.1:2525\"}, {name: b, address: "
      "\"127.0.0.1:2526\"}]\n";
};

// One file for all hubs of a StatefulSet.
TEST_F(ConfigParse, TheNameOfTheHubMayComeFromItsEnvironment) {
  auto name_in = [](const std::string& text) { return parse_config(text, "hub.yaml"); };
  const std::string rest =
      "spool: {directory: /spool}\nroutes: [{name: all, domains: ['*']}]\n"
      "listeners: [{name: in, address: \"127.0.0.1:25\", shadow: none}]\n";
  ::setenv("UMBRA_HUB_NAME", "umbra-7", 1);
  EXPECT_EQ(name_in(rest)->hub_name, "umbra-7");
  EXPECT_EQ(name_in("hub: {host_name: mx.example.com}\n" + rest)->hub_name, "umbra-7");
  EXPECT_EQ(name_in("hub: {name: other}\n" + rest)->hub_name, "umbra-7");
  EXPECT_EQ(name_in("hub: {host_name: mx.example.com}\n" + rest)->host_name, "mx.example.com");
  ::setenv("UMBRA_HUB_NAME", "no name\n", 1);
  auto refused = name_in("hub: {name: other}\n" + rest);
  ASSERT_FALSE(refused);
  EXPECT_NE(to_string(refused.error().front()).find("hub.name"), std::string::npos);
  ::unsetenv("UMBRA_HUB_NAME");
  EXPECT_FALSE(name_in(rest));
}

TEST_F(ConfigParse, ASafetyNetNeedsBothItsLimits) {
  auto off = parse_config(alone, "/etc/umbra.yaml");
  ASSERT_TRUE(off);
  EXPECT_FALSE(off->safety_net.enabled());
  auto on = parse_config(std::string(alone) + "safety_net: {keep: 2d, size: 5GB}\n", "/etc/umbra.yaml");
  ASSERT_TRUE(on) << to_string(on.error().front());
  EXPECT_TRUE(on->safety_net.enabled());
  EXPECT_EQ(on->safety_net.keep, 48h);
  EXPECT_EQ(on->safety_net.octets_max, 5'000'000'000U);
  EXPECT_EQ(problems_of(std::string(alone) + "safety_net: {keep: 0, size: 0B}\n"),
            std::vector<std::string>{});
  EXPECT_THAT(problems_of(std::string(alone) + "safety_net: {keep: 2d}\n"),
              ElementsAre(HasSubstr("safety_net.size is missing")));
  EXPECT_THAT(problems_of(std::string(alone) + "safety_net: {size: 1GB}\n"),
              ElementsAre(HasSubstr("safety_net.keep is missing")));
  EXPECT_EQ(problems_of(std::string(alone) + "safety_net: {keep: 31d, size: 1GB}\n").size(), 1U);
  EXPECT_EQ(problems_of(std::string(alone) + "safety_net: {keep: 1d, size: 1GB, resend_rate: 0}\n").size(),
            1U);
}

TEST_F(ConfigParse, RefusesMarksOfPressureThatAreOutOfOrder) {
  EXPECT_EQ(problems_of(std::string(alone) +
                        "pressure: {disk: {medium: 90, high: 97, leave_high: 95, leave_medium: 85}}\n"),
            std::vector<std::string>{});
  EXPECT_EQ(
      problems_of(std::string(alone) +
                  "pressure: {queue: {medium: 1000, high: 2000, leave_high: 1500, leave_medium: 500}}\n"),
      std::vector<std::string>{});
  EXPECT_THAT(problems_of(std::string(alone) + "pressure: {inodes: {high: 90}}\n"),
              ElementsAre(HasSubstr("pressure.inodes: leave_medium 91, medium 93, leave_high 94, high 90")));
  EXPECT_THAT(problems_of(std::string(alone) + "pressure: {disk: {medium: 90}}\n"),
              ElementsAre(HasSubstr("pressure.disk")));
}

TEST_F(ConfigParse, ListenersMayShareAnAddressWhenItIsClearWhomEachServes) {
  auto with = [](const std::string& first, const std::string& second) {
    return std::string(
               "hub: {name: a}\nspool: {directory: /spool}\nroutes: [{name: all, domains: "
               "['*']}]\nlisteners:\n") +
           "  - {name: one, shadow: none, " + first + "}\n  - {name: two, shadow: none, " + second + "}\n";
  };
  const std::string here = "address: '192.0.2.1:25'";
  EXPECT_EQ(problems_of(with(here, here + ", clients: [192.0.2.0/24]")), std::vector<std::string>{});
  EXPECT_EQ(
      problems_of(with(here + ", clients: [192.0.2.0/24]", here + ", clients: [192.0.2.7, 192.0.0.0/16]")),
      std::vector<std::string>{});
  EXPECT_EQ(problems_of(with(here, here + ", clients: [0.0.0.0/0, '::/0']")), std::vector<std::string>{});
  EXPECT_EQ(problems_of(with(here, "address: '192.0.2.2:25'")), std::vector<std::string>{});
  EXPECT_EQ(problems_of(with("address: '127.0.0.1:0'", "address: '127.0.0.1:0'")), std::vector<std::string>{})
      << "two ports";
  EXPECT_THAT(problems_of(with(here, here)),
              ElementsAre(HasSubstr("umbra.yaml:6: listeners[1]: this one and listeners[0] (\"one\") at "
                                    "192.0.2.1:25 both serve every client; say in `clients`")));
  EXPECT_THAT(
      problems_of(with(here + ", clients: [10.0.0.0/8, 192.0.2.0/24]", here + ", clients: [192.0.2.0/24]")),
      ElementsAre(HasSubstr("listeners[1].clients: 192.0.2.0/24 is a network of listeners[0] (\"one\") at "
                            "192.0.2.1:25 already")));
  EXPECT_THAT(
      problems_of(with(here + ", clients: [10.0.0.0/8]", here + ", clients: ['::ffff:10.0.0.0/104']")),
      ElementsAre(HasSubstr("already; one of them")))
      << "the same network in other words";
  EXPECT_THAT(problems_of(with("address: '[::1]:25'", "address: '[0:0:0:0:0:0:0:1]:25'")),
              ElementsAre(HasSubstr("both serve every client")));
  EXPECT_THAT(problems_of(with(here, "address: '0.0.0.0:25', clients: [10.0.0.0/8]")),
              ElementsAre(HasSubstr("0.0.0.0:25 is taken by listeners[0].address already")));
}

TEST_F(ConfigParse, ABannerCannotBreakTheGreeting) {
  auto with = [](const std::string& more) {
    return std::string(alone).substr(0, std::string(alone).rfind('}')) + ", " + more + "}\n";
  };
  EXPECT_EQ(problems_of(with("banner: 'ESMTP mail'")), std::vector<std::string>{});
  EXPECT_THAT(problems_of(with("banner: \"a\\r\\n250 ok\"")),
              ElementsAre(HasSubstr("expected printable ASCII")));
  EXPECT_THAT(problems_of(with("banner: ''")), testing::Contains(HasSubstr("banner")));
  EXPECT_THAT(problems_of(with("extensions: {chunking: perhaps}")), ElementsAre(HasSubstr("chunking")));
}

TEST_F(ConfigParse, TakesTheSmallestFileAndTheDocumentedDefaults) {
  auto config = parse_config(alone, "/etc/umbra.yaml");
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_EQ(config->hub_name, "a");
  EXPECT_EQ(config->host_name, "a");
  EXPECT_EQ(config->spool.directory, "/spool");
  ASSERT_EQ(config->listeners.size(), 1U);
  EXPECT_EQ(config->listeners[0].shadow, ShadowPolicy::none);
  EXPECT_TRUE(config->listeners[0].networks.empty());
  EXPECT_EQ(config->listeners[0].limits.message_octets_max, 50ULL << 20);
  EXPECT_EQ(config->delivery.retry.size(), 3U);
  EXPECT_FALSE(config->cluster.enabled());
  EXPECT_FALSE(config->admin.address);
}

TEST_F(ConfigParse, TakesEveryKey) {
  ::setenv("UMBRA_CLUSTER_SECRET", "0123456789abcdef", 1);
  auto config = parse_config(R"(
hub: {name: hub-a, host_name: hub-a.example.com}
spool: {directory: spool, reserve: 1GiB}
listeners:
  - name: in
    address: "[::1]:2525"
    networks: [127.0.0.0/8, "::1"]
    shadow: prefer
    clients: [192.0.2.0/24]
    host_name: mx.example.com
    banner: hello
    bare_line_ends: normalize
    long_lines: normalize
    accepted_domains: [example.com, "*.example.net"]
    extensions: {pipelining: off, size: off, 8bitmime: off, smtputf8: off, chunking: off, dsn: off}
    limits: {message_size: 1MB, recipients: 5, command_length: 1024, line_length: 2000, header_size: 64KiB, hops: 30, local_hops: 6, errors: 3,
             connections: 7, connections_per_source: 3, connections_per_source_percent: 50, session_timeout: 10min, command_timeout: 30s, data_timeout: 40s}
routes:
  - {name: r, domains: [Example.COM, "*.example.com"], hosts: ["sink:2526", {address: other.example, preference: 10}], mx_port: 26,
     eight_bit: convert, connections: 3, messages_per_connection: 4}
  - {name: rest, domains: ["*"]}
delivery:
  retry: [{times: 2, wait: 1s}, {wait: 5s}]
  expiry: 1h
  delay_warning: 0
  connect_timeout: 1s
  command_timeout: 2s
  data_reply_timeout: 3s
  idle_timeout: 4s
  connections: 50
  memory: 1MiB
resolver: {servers: [127.0.0.1, "127.0.0.1:5353"], timeout: 2s}
cluster:
  address: 127.0.0.1:2527
  secret_file: nowhere
  members: [{name: hub-a, address: "127.0.0.1:2527"}, {name: hub-b, address: "hub-b:2527"}]
  lease: 6s
  heartbeat: 2s
  copy_timeout: 1s
  ask_again: 1500ms
  return_wait: 20s
  restart_grace: 10s
  reprotect_after: 5s
admin: {socket: admin.sock, address: "127.0.0.1:9625"}
log: {level: warning, file: hub.log, file_size: 1MiB, files: 2}
)",
                             "/etc/umbra/hub.yaml");
  ::unsetenv("UMBRA_CLUSTER_SECRET");
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_EQ(config->host_name, "hub-a.example.com");
  EXPECT_EQ(config->spool.directory, "/etc/umbra/spool");
  EXPECT_EQ(config->spool.reserve_octets, 1ULL << 30);
  const auto& listener = config->listeners.at(0);
  EXPECT_EQ(listener.address, (Endpoint{"::1", 2525}));
  EXPECT_TRUE(listener.networks.at(0).contains("127.9.9.9"));
  EXPECT_EQ(listener.shadow, ShadowPolicy::prefer);
  EXPECT_EQ(listener.limits.message_octets_max, 1'000'000U);
  EXPECT_EQ(listener.limits.recipients_max, 5U);
  EXPECT_EQ(listener.limits.command_octets_max, 1024U);
  EXPECT_EQ(listener.limits.line_octets_max, 2000U);
  EXPECT_EQ(listener.limits.header_octets_max, 65'536U);
  EXPECT_EQ(listener.limits.hops_max, 30U);
  EXPECT_EQ(listener.limits.errors_max, 3U);
  EXPECT_EQ(listener.limits.connections_max, 7U);
  EXPECT_EQ(listener.limits.local_hops_max, 6U);
  EXPECT_EQ(listener.limits.connections_per_source_max, 3U);
  EXPECT_EQ(listener.limits.connections_per_source_percent, 50U);
  EXPECT_EQ(listener.limits.session_timeout, Duration(10min));
  EXPECT_TRUE(listener.clients.at(0).contains("192.0.2.1"));
  EXPECT_EQ(listener.host_name, "mx.example.com");
  EXPECT_EQ(listener.banner, "hello");
  EXPECT_EQ(listener.bare_line_ends, OldHabit::normalize);
  EXPECT_EQ(listener.long_lines, OldHabit::normalize);
  EXPECT_THAT(listener.accepted_domains, ElementsAre("example.com", "*.example.net"));
  const auto& on = listener.extensions;
  EXPECT_FALSE(on.pipelining || on.size || on.eight_bit_mime || on.smtputf8 || on.chunking || on.dsn);
  EXPECT_EQ(listener.limits.command_timeout, Duration(30s));
  EXPECT_EQ(listener.limits.data_timeout, Duration(40s));
  const auto& route = config->routes.at(0);
  EXPECT_THAT(route.domains, ElementsAre("example.com", "*.example.com"));
  EXPECT_EQ(route.hosts.at(0).endpoint, (Endpoint{"sink", 2526}));
  EXPECT_EQ(route.hosts.at(1).endpoint, (Endpoint{"other.example", 25}));
  EXPECT_EQ(route.hosts.at(1).preference, 10);
  EXPECT_EQ(route.mx_port, 26);
  EXPECT_EQ(route.eight_bit, RouteConfig::EightBit::convert);
  EXPECT_EQ(route.connections_max, 3U);
  EXPECT_EQ(route.messages_per_connection_max, 4U);
  ASSERT_EQ(config->delivery.retry.size(), 2U);
  EXPECT_EQ(config->delivery.retry[0].times, 2U);
  EXPECT_EQ(config->delivery.retry[1].times, 0U);
  EXPECT_EQ(config->delivery.retry[1].wait, Duration(5s));
  EXPECT_EQ(config->delivery.expiry, Duration(1h));
  EXPECT_EQ(config->delivery.delay_warning, Duration(0s));
  EXPECT_EQ(config->delivery.connect_timeout, Duration(1s));
  EXPECT_EQ(config->delivery.command_timeout, Duration(2s));
  EXPECT_EQ(config->delivery.data_reply_timeout, Duration(3s));
  EXPECT_EQ(config->delivery.idle_timeout, Duration(4s));
  EXPECT_EQ(config->delivery.connections_max, 50U);
  EXPECT_EQ(config->delivery.ready_octets_max, 1ULL << 20);
  EXPECT_THAT(config->resolver.servers, ElementsAre(Endpoint{"127.0.0.1", 53}, Endpoint{"127.0.0.1", 5353}));
  EXPECT_EQ(config->resolver.timeout, Duration(2s));
  EXPECT_EQ(config->cluster.address, (Endpoint{"127.0.0.1", 2527}));
  EXPECT_EQ(config->cluster.secret, "0123456789abcdef");
  EXPECT_EQ(config->cluster.members.at(1).address, (Endpoint{"hub-b", 2527}));
  EXPECT_EQ(config->cluster.lease, Duration(6s));
  EXPECT_EQ(config->cluster.heartbeat, Duration(2s));
  EXPECT_EQ(config->cluster.copy_timeout, Duration(1s));
  EXPECT_EQ(config->cluster.ask_again, Duration(1500ms));
  EXPECT_EQ(config->cluster.return_wait, Duration(20s));
  EXPECT_EQ(config->cluster.restart_grace, Duration(10s));
  EXPECT_EQ(config->cluster.reprotect_after, Duration(5s));
  EXPECT_EQ(config->admin.socket, "/etc/umbra/admin.sock");
  EXPECT_EQ(config->admin.address, (Endpoint{"127.0.0.1", 9625}));
  EXPECT_EQ(config->log.level, "warning");
  EXPECT_EQ(config->log.file, "/etc/umbra/hub.log");
  EXPECT_EQ(config->log.file_octets_max, 1ULL << 20);
  EXPECT_EQ(config->log.files_max, 2U);
}

TEST_F(ConfigParse, NamesEveryProblemAtItsLineAtOnce) {
  EXPECT_THAT(
      problems_of("hub: {name: 'a b'}\n"
                  "spool:\n"
                  "  directry: /spool\n"
                  "listeners:\n"
                  "  - name: in\n"
                  "    address: 127.0.0.1\n"
                  "    shadow: maybe\n"
                  "    limits: {recipients: 0, command_timeout: 5}\n"
                  "color: blue\n"),
      ElementsAre(
          "/etc/umbra.yaml:1: hub.name: \"a b\" is not valid: expected letters, digits, \".\", \"-\" or "
          "\"_\", at most 64 of them",
          "/etc/umbra.yaml:1: routes is missing", "/etc/umbra.yaml:3: spool.directory is missing",
          "/etc/umbra.yaml:3: unknown key \"directry\" in spool; did you mean \"directory\"?",
          "/etc/umbra.yaml:6: listeners[0].address: \"127.0.0.1\" is not valid: expected host:port, such as "
          "127.0.0.1:25 or [::1]:25",
          "/etc/umbra.yaml:7: listeners[0].shadow: \"maybe\" is not valid: expected require, prefer or none",
          HasSubstr("umbra.yaml:7: listeners[0].shadow: there is no other hub"),
          HasSubstr(
              "umbra.yaml:8: listeners[0].limits.command_timeout: \"5\" is not valid: expected a duration"),
          HasSubstr("umbra.yaml:8: listeners[0].limits.recipients: \"0\" is not valid: expected a whole "
                    "number from 1 to 100000"),
          HasSubstr("umbra.yaml:9: unknown key \"color\" in the file; expected hub, spool")));
}

TEST_F(ConfigParse, RefusesAKeyGivenTwice) {
  EXPECT_THAT(problems_of(std::string(alone) + "log: {level: info, level: debug}\n"),
              ElementsAre("/etc/umbra.yaml:6: log.level is given twice"));
}

TEST_F(ConfigParse, RefusesValuesOfTheWrongKind) {
  EXPECT_THAT(
      problems_of(std::string(alone) +
                  "log: [1]\ndelivery: {retry: 5, expiry: [1h], memory: }\nadmin: text\n"),
      ElementsAre("/etc/umbra.yaml:6: log must be a group of keys",
                  "/etc/umbra.yaml:7: delivery.expiry: expected one value, not a list",
                  "/etc/umbra.yaml:7: delivery.memory has no value; leave the key out to use its default",
                  "/etc/umbra.yaml:7: delivery.retry: expected a list",
                  "/etc/umbra.yaml:8: admin must be a group of keys"));
}

TEST_F(ConfigParse, RefusesWhatIsNotYaml) {
  EXPECT_THAT(problems_of("hub: {name: a\nspool: [}\n"), ElementsAre(HasSubstr("umbra.yaml:2: not YAML")));
  EXPECT_THAT(problems_of(""), ElementsAre("/etc/umbra.yaml: the file says nothing"));
  EXPECT_THAT(problems_of("hub: {}\n---\nhub: {}\n"),
              ElementsAre("/etc/umbra.yaml: more than one YAML document"));
  EXPECT_THAT(problems_of("- 1\n"), ElementsAre("/etc/umbra.yaml:1: the file must be a group of keys"));
}

TEST_F(ConfigParse, SurvivesNestingWithoutEnd) {
  EXPECT_THAT(problems_of(std::string(100'000, '[')), testing::SizeIs(1));
}

TEST_F(ConfigParse, StopsListingProblemsAtAHundred) {
  std::string text = alone;
  for (int i = 0; i < 500; ++i) text += "strange_" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(problems_of(text), testing::SizeIs(100));
}

TEST_F(ConfigParse, WantsNoneToBeSaidWhenThereIsNoOtherHub) {
  EXPECT_THAT(problems_of("hub: {name: a}\nspool: {directory: /s}\nroutes: [{name: all, domains: ['*']}]\n"
                          "listeners:\n  - {name: in, address: \"127.0.0.1:25\"}\n"),
              ElementsAre(HasSubstr("umbra.yaml:5: listeners[0]: no other hub is configured")));
}

TEST_F(ConfigParse, WantsARouteForTheMailItTakes) {
  std::string rest =
      "hub: {name: a}\nspool: {directory: /s}\nlisteners: [{name: in, address: \"127.0.0.1:25\", shadow: "
      "none}]\n";
  EXPECT_THAT(problems_of(rest), ElementsAre("/etc/umbra.yaml:1: routes is missing"));
  EXPECT_THAT(problems_of(rest + "routes: []\n"),
              ElementsAre(HasSubstr("umbra.yaml:4: routes: expected at least one")));
  EXPECT_THAT(problems_of(rest + "routes: [{name: r, domains: []}]\n"),
              ElementsAre(HasSubstr("umbra.yaml:4: routes[0].domains: expected")));
}

TEST_F(ConfigParse, RefusesTwoOfTheSameName) {
  EXPECT_THAT(
      problems_of("hub: {name: a}\nspool: {directory: /s}\nlisteners:\n  - {name: in, address: "
                  "\"127.0.0.1:25\", shadow: none}\n"
                  "  - {name: in, address: \"127.0.0.1:26\", shadow: none}\n"
                  "routes:\n  - {name: r, domains: [a.example]}\n  - {name: r, domains: [A.example]}\n"),
      ElementsAre(HasSubstr("umbra.yaml:5: listeners[1].name: \"in\" is the name of another listener"),
                  HasSubstr("umbra.yaml:8: routes[1].domains: \"a.example\" is in routes[0] already"),
                  HasSubstr("umbra.yaml:8: routes[1].name: \"r\" is the name of another route")));
}

TEST_F(ConfigParse, RefusesTwoSocketsOnOneAddress) {
  EXPECT_THAT(problems_of(std::string(alone) + "admin: {address: \"0.0.0.0:25\"}\n"),
              ElementsAre(HasSubstr("admin.address: 0.0.0.0:25 is taken by listeners[0].address already")));
  EXPECT_THAT(problems_of(std::string(alone) + "admin: {address: \"localhost:80\"}\n"),
              ElementsAre(HasSubstr("is a name")));
}

TEST_F(ConfigParse, WantsALadderOfRetriesThatIsUsedToItsEnd) {
  EXPECT_THAT(problems_of(std::string(alone) + "delivery: {retry: [{wait: 1s}, {times: 2, wait: 2s}]}\n"),
              testing::SizeIs(2));
  EXPECT_THAT(problems_of(std::string(alone) + "delivery: {retry: []}\n"),
              ElementsAre(HasSubstr("expected at least one step")));
}

TEST_F(ConfigParse, ReadsBounceProfiles) {
  auto config = parse_config(R"(
hub: {name: hub1}
spool: {directory: /var/spool/umbra}
listeners: [{name: in, address: "127.0.0.1:25", shadow: none}]
routes:
  - {name: esa, domains: [a.example], bounce_profile: esa, recipient_rate_limit: 600}
  - {name: own, domains: ["*"], bounce_profile: own}
bounce_profiles:
  - {name: own, retry: [{times: 2, wait: 1s}, {wait: 5s}], retries: 7, expiry: 1h, delay_warning: 10min, report_format: plain, returned: header,
     report_to: postmaster@example.com}
)",
                             "/etc/umbra.yaml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->routes[0].recipient_rate_limit, 600U);
  const auto& esa = bounce_profile_of(*config, &config->routes[0]);
  EXPECT_EQ(esa.retries_max, 100U);
  EXPECT_EQ(esa.expiry, Duration(72h));
  const auto& own = bounce_profile_of(*config, &config->routes[1]);
  EXPECT_EQ(own.retry.size(), 2U);
  EXPECT_EQ(own.retries_max, 7U);
  EXPECT_EQ(own.expiry, Duration(1h));
  EXPECT_EQ(own.delay_warning, Duration(10min));
  EXPECT_EQ(own.format, BounceProfileConfig::Format::plain);
  EXPECT_EQ(own.returned, BounceProfileConfig::Returned::header);
  EXPECT_EQ(own.report_to, "postmaster@example.com");
  EXPECT_EQ(&bounce_profile_of(*config, nullptr), &static_cast<const BounceProfileConfig&>(config->delivery));
}

TEST_F(ConfigParse, RefusesBounceProfilesThatAreNotThereOrTwice) {
  EXPECT_THAT(
      problems_of(std::string(alone) + "bounce_profiles: [{name: a}, {name: a, expiry: 1h, delay_warning: "
                                       "2h}, {name: b, report_to: nobody, retry: [{times: 1, wait: 1s}]}]\n"),
      testing::UnorderedElementsAre(
          HasSubstr("bounce_profiles[1].name: \"a\" is the name of another profile"),
          HasSubstr("bounce_profiles[1].delay_warning: must be shorter"),
          HasSubstr("expected a mail address"),
          HasSubstr("the last step lasts until bounce_profiles[2].expiry")));
  EXPECT_THAT(problems_of("hub: {name: hub1}\nspool: {directory: /s}\nlisteners: [{name: in, address: "
                          "\"127.0.0.1:25\", shadow: none}]\n"
                          "routes: [{name: r, domains: [\"*\"], bounce_profile: none}]\n"),
              ElementsAre(HasSubstr("\"none\" is none of bounce_profiles, exchange, esa")));
}

TEST_F(ConfigParse, GivesAnErrorForAFileThatIsNotThere) {
  auto config = load_config("/nonexistent/umbra.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(to_string(config.error().at(0)),
            "/nonexistent/umbra.yaml: cannot be opened: No such file or directory");
  EXPECT_FALSE(load_config("/"));
}

TEST_F(ClusterParse, AsksForRequireByDefault) {
  auto config = parse_config(with(two_hubs), "f");
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_EQ(config->listeners[0].shadow, ShadowPolicy::require);
  EXPECT_TRUE(config->cluster.enabled());
}

TEST_F(ClusterParse, TakesCopiesZonesAndTheDelayOfAcknowledgements) {
  auto text = with(
      "  address: 127.0.0.1:1\n  reprotect_rate: 9\n  reprotect_bandwidth: 1MiB\n"
      "  members: [{name: a, address: \"127.0.0.1:1\", zone: east}, {name: b, address: \"127.0.0.1:2\", "
      "zone: west},"
      " {name: c, address: \"127.0.0.1:3\", zone: west}]\n",
      "prefer, copies: 2, zones: only_other_zone, on_failure: accept, max_acknowledgement_delay: 5s, "
      "delayed_acknowledgements: 7");
  auto config = parse_config(text, "f");
  ASSERT_TRUE(config) << to_string(config.error().front());
  const auto& listener = config->listeners[0];
  EXPECT_EQ(listener.protection, (Protection{2, ZonePreference::only_other_zone}));
  EXPECT_EQ(listener.on_failure, OnShadowFailure::accept);
  EXPECT_EQ(listener.acknowledgement_delay_max, Duration(5s));
  EXPECT_EQ(listener.delayed_acknowledgements_max, 7U);
  EXPECT_EQ(config->cluster.own_zone("c"), "west");
  EXPECT_EQ(config->cluster.reprotect_messages_per_second, 9U);
  EXPECT_EQ(config->cluster.reprotect_octets_per_second, 1U << 20);
}

class HubRoutes : public ClusterParse {
 protected:
  /// Three hubs, this one is "a".
  static std::string routes(const std::string& lines) {
    auto text = with(
        "  address: 127.0.0.1:1\n  members: [{name: a, address: \"127.0.0.1:1\"}, {name: b, address: "
        "\"127.0.0.1:2\"},"
        " {name: c, address: \"127.0.0.1:3\"}]\n");
    auto at = text.find("routes:");
    EXPECT_NE(at, std::string::npos);
    auto end = text.find('\n', at);
    while (end + 1 < text.size() && text[end + 1] == ' ') end = text.find('\n', end + 1);
    return text.substr(0, at) + "routes:\n" + lines + text.substr(end + 1);
  }
};

TEST_F(HubRoutes, NameHubsOfTheCluster) {
  auto config = parse_config(routes("  - {name: core, domains: [\"*\"], hubs: [b, c]}\n"), "f");
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_THAT(config->routes.at(0).hubs, ElementsAre("b", "c"));
  EXPECT_THAT(problems_of(routes("  - {name: core, domains: [\"*\"], hubs: [b, d, b]}\n")),
              testing::UnorderedElementsAre(HasSubstr("routes[0].hubs: \"d\" is not in cluster.members"),
                                            HasSubstr("routes[0].hubs: \"b\" is in the list already")));
  EXPECT_THAT(problems_of(routes("  - {name: core, domains: [\"*\"], hubs: []}\n")),
              ElementsAre(HasSubstr("routes[0].hubs: expected at least one")));
}

TEST_F(HubRoutes, ExcludeHostsAndConnections) {
  EXPECT_THAT(
      problems_of(routes("  - {name: core, domains: [\"*\"], hubs: [b], hosts: [\"x.example:25\"]}\n")),
      ElementsAre(testing::ContainsRegex(
          "umbra.yaml:[0-9]+: routes\\[0\\].hubs: hubs are handed the mail over; leave out \"hosts\"")));
  EXPECT_THAT(
      problems_of(routes("  - {name: core, domains: [\"*\"], hubs: [b], mx_port: 26, connections: 2}\n")),
      testing::SizeIs(2));
}

TEST_F(HubRoutes, OfAHubThatIsNamedItselfNeedAnotherRouteBehindThem) {
  EXPECT_THAT(problems_of(routes("  - {name: core, domains: [\"*\"], hubs: [a]}\n")),
              ElementsAre(HasSubstr("cannot hand mail over to itself")));
  EXPECT_THAT(problems_of(routes("  - {name: core, domains: [\"*.example.org\", example.com], hubs: [a, b]}\n"
                                 "  - {name: out, domains: [\"*.org\"]}\n")),
              ElementsAre(HasSubstr("needs another route for \"example.com\"")));
  EXPECT_THAT(problems_of(routes(
                  "  - {name: core, domains: [\"*\"], hubs: [a, b]}\n  - {name: out, domains: [\"*\"]}\n")),
              testing::IsEmpty());
  EXPECT_THAT(problems_of(routes(
                  "  - {name: out, domains: [\"*\"]}\n  - {name: core, domains: [\"*\"], hubs: [a, b]}\n")),
              ElementsAre(HasSubstr("\"*\" is in routes[0] already")));
}

TEST_F(HubRoutes, NeedACluster) {
  std::string text(alone);
  const std::string before = "domains: [\"*\"]";
  text.replace(text.find(before), before.size(), before + ", hubs: [b]");
  EXPECT_THAT(problems_of(text), ElementsAre(HasSubstr("this hub has no cluster")));
}

TEST_F(ClusterParse, RefusesMoreCopiesThanThereAreHubsForThem) {
  EXPECT_THAT(problems_of(with(two_hubs, "require, copies: 2")),
              ElementsAre(HasSubstr("listeners[0].copies: 2 asked for, but only 1 other hub can hold one")));
  EXPECT_THAT(problems_of(with(two_hubs, "require, zones: only_other_zone")),
              ElementsAre(HasSubstr("in another zone")));
}

TEST_F(ClusterParse, WantsThisHubInTheList) {
  EXPECT_THAT(
      problems_of(with("  address: 127.0.0.1:2525\n  members: [{name: b, address: \"127.0.0.1:2526\"}]\n")),
      ElementsAre(HasSubstr("umbra.yaml:8: cluster.members: this hub, \"a\", is not in the list")));
}

TEST_F(ClusterParse, CountsAClusterOfItselfAsNone) {
  EXPECT_THAT(
      problems_of(with("  address: 127.0.0.1:2525\n  members: [{name: a, address: \"127.0.0.1:2525\"}]\n",
                       "require")),
      ElementsAre(HasSubstr("umbra.yaml:5: listeners[0].shadow: there is no other hub to hold a copy")));
}

TEST_F(ClusterParse, RefusesMembersThatAreTheSame) {
  EXPECT_THAT(
      problems_of(
          with("  address: 127.0.0.1:2525\n  members:\n    - {name: a, address: \"127.0.0.1:2525\"}\n"
               "    - {name: a, address: \"127.0.0.1:2525\"}\n    - {name: b, address: \"127.0.0.1:1\"}\n")),
      ElementsAre(
          HasSubstr(
              "umbra.yaml:10: cluster.members[1].address: 127.0.0.1:2525 is the address of \"a\" already"),
          HasSubstr("umbra.yaml:10: cluster.members[1].name: \"a\" is in the list already")));
}

TEST_F(ClusterParse, WantsThreeHeartbeatsInALease) {
  EXPECT_THAT(problems_of(with(std::string(two_hubs) + "  lease: 5s\n  heartbeat: 2s\n")),
              ElementsAre(HasSubstr(
                  "umbra.yaml:10: cluster.heartbeat (2s) must be at most a third of cluster.lease (5s)")));
}

TEST_F(ClusterParse, RefusesNoSecretAndAShortOne) {
  ::setenv("UMBRA_CLUSTER_SECRET", "short", 1);
  EXPECT_THAT(problems_of(with(two_hubs)), ElementsAre(HasSubstr("has 5 octets, expected at least 16")));
  ::unsetenv("UMBRA_CLUSTER_SECRET");
  EXPECT_THAT(problems_of(with(two_hubs)), ElementsAre(HasSubstr("the cluster has no secret")));
}

TEST_F(ClusterParse, RefusesASecretThatEverybodyMayRead) {
  ::unsetenv("UMBRA_CLUSTER_SECRET");
  std::string folder = testing::TempDir() + "umbra_config_test_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  auto secret = folder + "/secret";
  std::ofstream(secret) << "0123456789abcdef\n";
  auto text = with(std::string(two_hubs) + "  secret_file: secret\n");
  ::chmod(secret.c_str(), 0644);
  auto open = parse_config(text, folder + "/hub.yaml");
  ::chmod(secret.c_str(), 0600);
  auto closed = parse_config(text, folder + "/hub.yaml");
  std::filesystem::remove_all(folder);
  ASSERT_FALSE(open);
  EXPECT_THAT(to_string(open.error().at(0)),
              HasSubstr("hub.yaml:9: cluster.secret_file: " + secret + " may be read by everybody"));
  ASSERT_TRUE(closed) << to_string(closed.error().front());
  EXPECT_EQ(closed->cluster.secret, "0123456789abcdef");
}

}  // namespace
}  // namespace umbra::hub
