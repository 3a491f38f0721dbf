#include "hub/config/schema.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "hub/config/units.h"
#include "hub/config/visitor.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* duration_pattern = "^(0|[0-9]+ ?(ms|s|min|h|d))$";
constexpr const char* size_pattern = "^[0-9]+ ?(B|kB|[KMGT]B|[KMGT]iB)?$";

/// Builds the schema of one group.
class SchemaVisitor final : public ConfigVisitor {
 public:
  SchemaVisitor()
      : schema_({{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}}) {}
  [[nodiscard]] const Json& schema() const { return schema_; }

  void text(Key key, std::string& value, TextRule rule) override {
    auto& property = add(key, "string", "text");
    if (rule.accepts(value)) property["default"] = value;
  }
  void path(Key key, std::string& value) override {
    auto& property = add(key, "string", "path");
    if (!value.empty()) property["default"] = value;
  }
  void duration(Key key, Duration& value, DurationBounds bounds) override {
    auto& property = add(key, "string", "duration");
    property["pattern"] = duration_pattern;
    property["x-minimum"] = format_duration(bounds.min);
    property["x-maximum"] = format_duration(bounds.max);
    if (value >= bounds.min && !key.required) property["default"] = format_duration(value);
  }
  void endpoint(Key key, Endpoint& value, std::uint16_t default_port) override {
    auto& property = add(key, "string", "endpoint");
    if (default_port != 0) property["x-default-port"] = default_port;
    if (!value.host.empty()) property["default"] = to_string(value);
  }
  void texts(Key key, std::vector<std::string>&, TextRule) override {
    add(key, "array", "list of texts")["items"] = Json{{"type", "string"}};
  }
  void endpoints(Key key, std::vector<Endpoint>&, std::uint16_t) override {
    add(key, "array", "list of endpoints")["items"] = Json{{"type", "string"}};
  }
  void ranges(Key key, std::vector<AddressRange>&) override {
    add(key, "array", "list of networks")["items"] = Json{{"type", "string"}};
  }

 protected:
  void number64(Key key, std::uint64_t& value, Bounds bounds) override {
    auto& property = add(key, "integer", "number");
    property["minimum"] = bounds.min;
    property["maximum"] = bounds.max;
    if (value >= bounds.min && value <= bounds.max) property["default"] = value;
  }
  void size64(Key key, std::uint64_t& value, Bounds bounds) override {
    auto& property = add(key, "string", "size");
    property["type"] = {"string", "integer"};
    property["pattern"] = size_pattern;
    property["x-minimum"] = format_size(bounds.min);
    property["x-maximum"] = format_size(bounds.max);
    property["default"] = format_size(value);
  }
  void choice_index(Key key, std::size_t& value, std::span<const std::string_view> names) override {
    if (names.front() == "false") {
      add(key, "boolean", "`true` or `false`")["default"] = value != 0;
      return;
    }
    auto& property = add(key, "string", "choice");
    property["enum"] = std::vector<std::string>(names.begin(), names.end());
    property["default"] = std::string(names[value]);
  }
  void group_of(Heading heading, const Describe& describe) override { add_inner(heading, describe, nullptr); }
  bool list_of(Key key, const Describe& describe) override {
    add_inner(key, describe, [](Json inner) { return Json{{"type", "array"}, {"items", std::move(inner)}}; });
    mark(key);
    return false;
  }
  bool list_of_short(Key key, const std::function<void(const Endpoint&)>&, std::uint16_t default_port,
                     const Describe& describe) override {
    add_inner(key, describe, [default_port](Json inner) {
      Json in_short = {{"type", "string"}, {"x-kind", "endpoint"}, {"x-default-port", default_port}};
      return Json{{"type", "array"}, {"items", {{"anyOf", Json::array({in_short, std::move(inner)})}}}};
    });
    mark(key);
    return false;
  }

 private:
  Json& add(const Key& key, const char* type, const char* kind) {
    auto& property = schema_["properties"][std::string(key.name)];
    property = {{"type", type}, {"x-kind", kind}, {"description", std::string(key.what)}};
    mark(key);
    require(key);
    return property;
  }
  void mark(const Key& key) {
    schema_["properties"][std::string(key.name)]["x-takes-effect"] =
        key.takes_effect == TakesEffect::at_reload ? "reload" : "restart";
  }
  template <class Wrap>
  void add_inner(const Heading& key, const Describe& describe, const Wrap& wrap) {
    SchemaVisitor inner;
    describe(inner);
    Json property;
    if constexpr (std::is_same_v<Wrap, std::nullptr_t>) {
      property = inner.schema();
    } else {
      property = wrap(inner.schema());
    }
    property["description"] = std::string(key.what);
    schema_["properties"][std::string(key.name)] = std::move(property);
    require(key);
  }
  void require(const Heading& key) {
    if (key.required) schema_["required"].push_back(std::string(key.name));
  }

  Json schema_;
};

Json build_schema() {
  auto defaults = documented_defaults();
  SchemaVisitor visitor;
  describe_config(visitor, defaults);
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "Umbra hub configuration"},
                 {"description",
                  "One YAML file per hub. `umbra check FILE` enforces this and what a schema cannot say."}};
  schema.update(visitor.schema());
  return schema;
}

std::string kind_of(const Json& property) {
  auto kind = property.value("x-kind", std::string{});
  if (kind == "choice") {
    std::string names;
    for (const auto& name : property["enum"])
      names += (names.empty() ? "`" : ", `") + name.get<std::string>() + "`";
    return names;
  }
  if (kind == "number")
    return fmt::format("number, {} to {}", property["minimum"].dump(), property["maximum"].dump());
  if (kind == "duration" || kind == "size") {
    return fmt::format("{}, {} to {}", kind, property["x-minimum"].get<std::string>(),
                       property["x-maximum"].get<std::string>());
  }
  return kind;
}

/// The group inside a property: itself, the elements of a list, or the long form of an element.
const Json* group_in(const Json& property) {
  if (property.contains("properties")) return &property;
  if (!property.contains("items")) return nullptr;
  const auto& items = property["items"];
  if (items.contains("properties")) return &items;
  return items.contains("anyOf") ? &items["anyOf"][1] : nullptr;
}

void write_group(std::string& out, const std::string& path, const Json& property) {
  const auto& group = *group_in(property);
  out += fmt::format(
      "\n## `{}`\n\n{}\n\n| key | what it takes | default | takes effect | meaning "
      "|\n|---|---|---|---|---|\n",
      path, property["description"].get<std::string>());
  auto required = group.value("required", std::vector<std::string>{});
  for (const auto& [name, inner] : group["properties"].items()) {
    bool is_required = std::ranges::find(required, name) != required.end();
    std::string preset;
    if (is_required) preset = "**required**";
    if (inner.contains("default")) {
      preset = inner["default"].is_string() ? inner["default"].get<std::string>() : inner["default"].dump();
      preset = "`" + preset + "`";
    }
    auto kind = kind_of(inner);
    if (group_in(inner) != nullptr) kind = inner.contains("items") ? "list, see below" : "group, see below";
    // A group has no such time of its own: its keys say it.
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", name, kind, preset,
                       inner.value("x-takes-effect", ""), inner["description"].get<std::string>());
  }
  for (const auto& [name, inner] : group["properties"].items()) {
    if (group_in(inner) != nullptr)
      write_group(out, path + "." + name + (inner.contains("items") ? "[]" : ""), inner);
  }
}

constexpr const char* reference_head = R"(# Configuration

<!-- Made by `make docs` from the program itself; a test compares the two. -->

A hub reads one YAML file: `umbra run --config FILE`. `umbra check FILE` reads it the same way and prints every problem as
`FILE:LINE: what is wrong and what was expected`. Keys that are not on this page are refused, so that a slip does not
silently leave a default in force. [config.schema.json](config.schema.json) says the same to editors.

* **Durations** carry a unit: `500ms`, `10s`, `5min`, `2h`, `1d`.
* **Sizes** are octets or carry a unit: `65536`, `256KiB` (1024), `50MB` (1000 × 1000).
* **Endpoints** are `host:port`; IPv6 addresses stand in brackets: `[2001:db8::1]:25`.
* **Paths** that do not begin with `/` are taken from the folder of the file.
* **Takes effect**: `reload`: with `umbra reload` or SIGHUP, while mail flows ([operations](operations.md#changing-the-configuration)). `restart`: when the
  hub is started again; a reload names such a key when it has changed, and the hub goes on with the value it has. For a list, this is about its elements as a whole: those that
  are added and removed.

A hub of a cluster of three:

```yaml
hub:
  name: hub-a
  host_name: hub-a.example.com
spool:
  directory: /var/lib/umbra
listeners:
  - name: applications
    address: 0.0.0.0:25
    networks: [10.0.0.0/8, 192.0.2.17]
    shadow: require
routes:
  - name: partner
    domains: [partner.example, "*.partner.example"]
    hosts: ["relay1.partner.example:25", {address: "relay2.partner.example:25", preference: 10}]
  - name: internet
    domains: ["*"]
cluster:
  address: 10.0.1.1:2525
  secret_file: /etc/umbra/cluster.secret
  members:
    - {name: hub-a, address: 10.0.1.1:2525}
    - {name: hub-b, address: 10.0.1.2:2525}
    - {name: hub-c, address: 10.0.1.3:2525}
admin:
  address: 127.0.0.1:9625
```
)";

}  // namespace

std::string config_schema() {
  return build_schema().dump(2) + "\n";
}

std::string config_reference() {
  auto schema = build_schema();
  std::string out = reference_head;
  for (const auto& [name, property] : schema["properties"].items()) {
    write_group(out, name + (property.contains("items") ? "[]" : ""), property);
  }
  return out;
}

}  // namespace umbra::hub
