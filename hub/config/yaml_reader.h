// Reads a YAML mapping into the structs that describe.cpp walks. Strict: an unknown key, a key given twice, a
// value of the wrong kind or out of range is a problem with its line; reading goes on, so that all problems
// are told at once.
#pragma once

#include <yaml-cpp/yaml.h>

#include <map>
#include <string>
#include <vector>

#include "hub/config/visitor.h"

namespace umbra::hub {

/// What reading finds out beside the values. Paths are like "listeners[0].shadow".
struct ReadReport {
  std::string file;
  std::vector<ConfigProblem> problems;
  std::map<std::string, int, std::less<>> lines;  ///< of every key that was given

  void problem(int line, std::string what);
  /// At the line of `path`, or of the nearest thing around it that was given.
  void problem_at(std::string_view path, std::string what);
  [[nodiscard]] bool given(std::string_view path) const { return lines.contains(path); }
};

class YamlReader final : public ConfigVisitor {
 public:
  /// `node` is the mapping of the group at `path` ("" for the file as a whole).
  YamlReader(YAML::Node node, std::string path, ReadReport& report);
  /// To be called after the walk: what was not asked for is unknown.
  void finish();

  void text(Key key, std::string& value, TextRule rule) override;
  void path(Key key, std::string& value) override;
  void duration(Key key, Duration& value, DurationBounds bounds) override;
  void endpoint(Key key, Endpoint& value, std::uint16_t default_port) override;
  void texts(Key key, std::vector<std::string>& values, TextRule rule) override;
  void endpoints(Key key, std::vector<Endpoint>& values, std::uint16_t default_port) override;
  void ranges(Key key, std::vector<AddressRange>& values) override;

 protected:
  void number64(Key key, std::uint64_t& value, Bounds bounds) override;
  void size64(Key key, std::uint64_t& value, Bounds bounds) override;
  void choice_index(Key key, std::size_t& value, std::span<const std::string_view> names) override;
  void group_of(Heading heading, const Describe& describe) override;
  bool list_of(Key key, const Describe& describe) override;
  bool list_of_short(Key key, const std::function<void(const Endpoint&)>& add, std::uint16_t default_port,
                     const Describe& describe) override;

 private:
  /// The value of a key, and that it was asked for. Undefined where it is missing (a problem, if it is
  /// required) or empty.
  YAML::Node take(const Heading& key);
  /// The text of a scalar; a list or mapping instead is a problem.
  std::optional<std::string> scalar(const Key& key);
  std::optional<std::string> scalar_of(const YAML::Node& node, std::string_view name);
  /// Calls `element` with each scalar of a list; true when the list was given.
  bool scalars(const Key& key, const std::function<void(const YAML::Node&, const std::string&)>& element);
  void wrong(const YAML::Node& node, std::string_view name, std::string_view value,
             std::string_view expected);
  [[nodiscard]] std::string path_of(std::string_view name) const;

  YAML::Node node_;
  std::string path_;
  ReadReport& report_;
  std::map<std::string, YAML::Node, std::less<>> values_;
  std::map<std::string, int, std::less<>> unknown_;  ///< keys nobody asked for yet, with their lines
  std::vector<std::string> known_;
};

/// "did you mean ...": the known word nearest to `word`, if it is near enough to be a slip.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace umbra::hub
