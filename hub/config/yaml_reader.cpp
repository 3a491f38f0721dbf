#include "hub/config/yaml_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/ids.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

constexpr std::size_t problems_max = 100;
constexpr std::size_t shown_octets_max = 60;

int line_of(const YAML::Node& node) {
  return node.Mark().is_null() ? 0 : node.Mark().line + 1;
}

/// A value as it is quoted in a message: short, and without control characters that would reach a terminal.
std::string shown(std::string_view value) {
  std::string out;
  for (char c : value.substr(0, shown_octets_max)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  if (value.size() > shown_octets_max) out += "...";
  return out;
}

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    out += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

/// Edit distance with a swap of neighbours as one step (the usual slips).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::vector<std::size_t> next(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    next[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      next[j + 1] = std::min({row[j + 1] + 1, next[j] + 1, row[j] + (a[i] == b[j] ? 0U : 1U)});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
        next[j + 1] = std::min(next[j + 1], before[j - 1] + 1);
    }
    before = row;
    row = next;
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > 64) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto& candidate : known) {
    auto steps = distance(word, candidate);
    // "recipients_max" for "recipients": a known word with something added is near, however long the
    // addition.
    if (candidate.size() >= 4 && (word.starts_with(candidate) || candidate.starts_with(word)))
      steps = std::min<std::size_t>(steps, 1);
    if (steps < best_distance) {
      best = candidate;
      best_distance = steps;
    }
  }
  return best;
}

void ReadReport::problem(int line, std::string what) {
  if (problems.size() < problems_max) problems.push_back({file, line, std::move(what)});
}

void ReadReport::problem_at(std::string_view path, std::string what) {
  while (true) {
    if (auto found = lines.find(path); found != lines.end()) return problem(found->second, std::move(what));
    auto end = path.find_last_of(".[");
    if (end == std::string_view::npos) return problem(0, std::move(what));
    path = path.substr(0, end);
  }
}

YamlReader::YamlReader(YAML::Node node, std::string path, ReadReport& report)
    : node_(std::move(node)), path_(std::move(path)), report_(report) {
  if (!node_.IsMap()) {
    report_.problem(line_of(node_),
                    fmt::format("{} must be a group of keys", path_.empty() ? "the file" : path_));
    return;
  }
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) {
      report_.problem(line_of(entry.first), "a key must be a plain word");
      continue;
    }
    const auto& name = entry.first.Scalar();
    if (!values_.emplace(name, entry.second).second) {
      report_.problem(line_of(entry.first), fmt::format("{} is given twice", shown(path_of(name))));
      continue;
    }
    unknown_.emplace(name, line_of(entry.first));
  }
}

void YamlReader::finish() {
  if (!node_.IsMap()) return;
  for (const auto& [name, line] : unknown_) {
    auto near = nearest(name, known_);
    auto where = path_.empty() ? std::string("the file") : path_;
    if (near) {
      report_.problem(
          line, fmt::format("unknown key \"{}\" in {}; did you mean \"{}\"?", shown(name), where, *near));
      continue;
    }
    std::vector<std::string_view> words(known_.begin(), known_.end());
    report_.problem(line,
                    fmt::format("unknown key \"{}\" in {}; expected {}", shown(name), where, joined(words)));
  }
}

std::string YamlReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

YAML::Node YamlReader::take(const Heading& key) {
  known_.emplace_back(key.name);
  auto found = values_.find(key.name);
  if (found == values_.end()) {
    if (key.required && node_.IsMap()) {
      report_.problem(line_of(node_), fmt::format("{} is missing", path_of(key.name)));
    }
    return YAML::Node(YAML::NodeType::Undefined);
  }
  auto line = unknown_.extract(unknown_.find(key.name)).mapped();
  report_.lines[path_of(key.name)] = line;
  if (found->second.IsNull()) {
    report_.problem(line,
                    fmt::format("{} has no value; leave the key out to use its default", path_of(key.name)));
    return YAML::Node(YAML::NodeType::Undefined);
  }
  return found->second;
}

void YamlReader::wrong(const YAML::Node& node, std::string_view name, std::string_view value,
                       std::string_view expected) {
  report_.problem(line_of(node),
                  fmt::format("{}: \"{}\" is not valid: {}", path_of(name), shown(value), expected));
}

std::optional<std::string> YamlReader::scalar_of(const YAML::Node& node, std::string_view name) {
  if (node.IsScalar()) return node.Scalar();
  report_.problem(line_of(node), fmt::format("{}: expected one value, not a {}", path_of(name),
                                             node.IsMap() ? "group" : "list"));
  return std::nullopt;
}

std::optional<std::string> YamlReader::scalar(const Key& key) {
  auto node = take(key);
  if (!node.IsDefined()) return std::nullopt;
  return scalar_of(node, key.name);
}

bool YamlReader::scalars(const Key& key,
                         const std::function<void(const YAML::Node&, const std::string&)>& element) {
  auto node = take(key);
  if (!node.IsDefined()) return false;
  if (!node.IsSequence()) {
    report_.problem(line_of(node), fmt::format("{}: expected a list, such as [a, b]", path_of(key.name)));
    return false;
  }
  for (const auto& entry : node) {
    if (auto value = scalar_of(entry, key.name)) element(entry, *value);
  }
  return true;
}

void YamlReader::text(Key key, std::string& value, TextRule rule) {
  auto given = scalar(key);
  if (!given) return;
  if (!rule.accepts(*given)) return wrong(values_[std::string(key.name)], key.name, *given, rule.expected);
  value = *given;
}

void YamlReader::path(Key key, std::string& value) {
  auto given = scalar(key);
  if (!given) return;
  if (given->empty() || given->find('\0') != std::string::npos) {
    return wrong(values_[std::string(key.name)], key.name, *given, "expected a path");
  }
  value = *given;
}

void YamlReader::duration(Key key, Duration& value, DurationBounds bounds) {
  auto given = scalar(key);
  if (!given) return;
  auto parsed = parse_duration(*given);
  const auto& node = values_[std::string(key.name)];
  if (!parsed) return wrong(node, key.name, *given, parsed.error());
  if (*parsed < bounds.min || *parsed > bounds.max) {
    return wrong(node, key.name, *given,
                 fmt::format("expected {} to {}", format_duration(bounds.min), format_duration(bounds.max)));
  }
  value = *parsed;
}

void YamlReader::size64(Key key, std::uint64_t& value, Bounds bounds) {
  auto given = scalar(key);
  if (!given) return;
  auto parsed = parse_size(*given);
  const auto& node = values_[std::string(key.name)];
  if (!parsed) return wrong(node, key.name, *given, parsed.error());
  if (*parsed < bounds.min || *parsed > bounds.max) {
    return wrong(node, key.name, *given,
                 fmt::format("expected {} to {}", format_size(bounds.min), format_size(bounds.max)));
  }
  value = *parsed;
}

void YamlReader::number64(Key key, std::uint64_t& value, Bounds bounds) {
  auto given = scalar(key);
  if (!given) return;
  auto parsed = parse_number(*given);
  if (!parsed || *parsed < bounds.min || *parsed > bounds.max) {
    return wrong(values_[std::string(key.name)], key.name, *given,
                 fmt::format("expected a whole number from {} to {}", bounds.min, bounds.max));
  }
  value = *parsed;
}

void YamlReader::choice_index(Key key, std::size_t& value, std::span<const std::string_view> names) {
  auto given = scalar(key);
  if (!given) return;
  auto found = std::ranges::find(names, *given);
  if (found == names.end())
    return wrong(values_[std::string(key.name)], key.name, *given, "expected " + joined(names));
  value = static_cast<std::size_t>(found - names.begin());
}

void YamlReader::endpoint(Key key, Endpoint& value, std::uint16_t default_port) {
  auto given = scalar(key);
  if (!given) return;
  auto parsed = parse_endpoint(*given, default_port);
  if (!parsed) return wrong(values_[std::string(key.name)], key.name, *given, parsed.error());
  value = *parsed;
}

void YamlReader::texts(Key key, std::vector<std::string>& values, TextRule rule) {
  std::vector<std::string> read;
  bool given = scalars(key, [&](const YAML::Node& node, const std::string& value) {
    if (!rule.accepts(value)) return wrong(node, key.name, value, rule.expected);
    read.push_back(value);
  });
  if (given) values = std::move(read);
}

void YamlReader::endpoints(Key key, std::vector<Endpoint>& values, std::uint16_t default_port) {
  std::vector<Endpoint> read;
  bool given = scalars(key, [&](const YAML::Node& node, const std::string& value) {
    auto parsed = parse_endpoint(value, default_port);
    if (!parsed) return wrong(node, key.name, value, parsed.error());
    read.push_back(*parsed);
  });
  if (given) values = std::move(read);
}

void YamlReader::ranges(Key key, std::vector<AddressRange>& values) {
  std::vector<AddressRange> read;
  bool given = scalars(key, [&](const YAML::Node& node, const std::string& value) {
    auto parsed = AddressRange::parse(value);
    if (!parsed) {
      return wrong(node, key.name, value,
                   "expected an address, a range such as 192.0.2.5-192.0.2.9, or a network such as "
                   "192.0.2.0/24 or 2001:db8::/32, with no bits set "
                   "behind the prefix");
    }
    read.push_back(*parsed);
  });
  if (given) values = std::move(read);
}

void YamlReader::group_of(Heading heading, const Describe& describe) {
  auto node = take(heading);
  if (!node.IsDefined()) return;
  YamlReader inner(node, path_of(heading.name), report_);
  describe(inner);
  inner.finish();
}

bool YamlReader::list_of(Key key, const Describe& describe) {
  return list_of_short(key, nullptr, 0, describe);
}

bool YamlReader::list_of_short(Key key, const std::function<void(const Endpoint&)>& add,
                               std::uint16_t default_port, const Describe& describe) {
  auto node = take(key);
  if (!node.IsDefined()) return false;
  if (!node.IsSequence()) {
    report_.problem(line_of(node), fmt::format("{}: expected a list", path_of(key.name)));
    return false;
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    auto path = fmt::format("{}[{}]", path_of(key.name), i);
    report_.lines[path] = line_of(node[i]);
    if (add && node[i].IsScalar()) {
      auto parsed = parse_endpoint(node[i].Scalar(), default_port);
      if (parsed) {
        add(*parsed);
      } else {
        wrong(node[i], key.name, node[i].Scalar(), parsed.error());
      }
      continue;
    }
    YamlReader inner(node[i], path, report_);
    describe(inner);
    inner.finish();
  }
  return true;
}

}  // namespace umbra::hub
