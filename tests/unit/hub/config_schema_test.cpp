// The schema, the reference page and the parser say the same.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "hub/config/config.h"
#include "hub/config/schema.h"

namespace umbra::hub {
namespace {

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(ConfigSchema, IsWhatTheDocumentsShow) {
  EXPECT_EQ(contents("docs/config.schema.json"), config_schema()) << "run `make docs`";
  EXPECT_EQ(contents("docs/configuration.md"), config_reference()) << "run `make docs`";
}

TEST(ConfigSchema, ShowsAnExampleThatTheParserTakes) {
  auto page = config_reference();
  auto begin = page.find("```yaml\n");
  ASSERT_NE(begin, std::string::npos);
  begin += 8;
  auto example = page.substr(begin, page.find("```", begin) - begin);
  ::setenv("UMBRA_CLUSTER_SECRET", "sixteen octets or more", 1);
  auto config = parse_config(example, "example.yaml");
  ::unsetenv("UMBRA_CLUSTER_SECRET");
  ASSERT_TRUE(config) << to_string(config.error().front());
  EXPECT_EQ(config->cluster.members.size(), 3U);
}

/// The defaults of one group (not those of groups inside it), as YAML.
void write_defaults(std::ostringstream& out, const nlohmann::json& group, const std::string& indent) {
  for (const auto& [name, property] : group.at("properties").items()) {
    if (property.contains("default")) out << indent << name << ": " << property.at("default").dump() << "\n";
  }
}

TEST(ConfigSchema, HasDefaultsThatTheParserTakes) {
  auto schema = nlohmann::json::parse(config_schema());
  std::ostringstream text;
  for (const char* group : {"delivery", "resolver", "admin", "log"}) {
    text << group << ":\n";
    write_defaults(text, schema.at("properties").at(group), "  ");
  }
  text << "hub: {name: a}\nroutes: [{name: all, domains: ['*']}]\nspool: {directory: /s, reserve: "
       << schema["properties"]["spool"]["properties"]["reserve"]["default"] << "}\n";
  text << "listeners:\n  - name: in\n    address: 127.0.0.1:25\n    shadow: none\n    limits:\n";
  write_defaults(text, schema["properties"]["listeners"]["items"]["properties"]["limits"], "      ");
  auto config = parse_config(text.str(), "defaults.yaml");
  ASSERT_TRUE(config) << to_string(config.error().front()) << "\n" << text.str();
  EXPECT_EQ(config->delivery.expiry, DeliveryConfig{}.expiry);
  EXPECT_EQ(config->listeners[0].limits.header_octets_max, ReceiveLimits{}.header_octets_max);
  EXPECT_EQ(config->log.level, "info");
}

}  // namespace
}  // namespace umbra::hub
