#include "hub/config/changes.h"

#include <map>
#include <set>
#include <tuple>

#include "hub/config/units.h"

namespace umbra::hub {
namespace {

/// One key's value.
struct Value {
  std::string text;    ///< for people
  std::string hidden;  ///< compared, not shown
  std::any copy;       ///< what the struct holds
  TakesEffect takes_effect = TakesEffect::at_reload;
  bool is_element = false;  ///< an element of a list, as such
};
using Values = std::map<std::string, Value>;

template <class T>
std::string joined(const std::vector<T>& values, auto text_of) {
  std::string text;
  for (const auto& value : values) text.append(text.empty() ? "" : ", ").append(text_of(value));
  return text;
}

/// Walks a configuration that is there. collect: notes every value. restore: puts back those that take effect
/// at a restart.
class ValueVisitor final : public ConfigVisitor {
 public:
  enum class Mode : std::uint8_t { collect, restore };
  ValueVisitor(Mode mode, Values& values, std::string path = {}, bool is_element = false)
      : mode_(mode), values_(values), path_(std::move(path)), is_element_(is_element) {}

  void text(Key key, std::string& value, TextRule) override {
    // "listeners[0]" is called by its name from here on: it comes first.
    if (is_element_ && key.name == "name")
      path_ = path_.substr(0, path_.find_last_of('[')) + '[' + value + ']';
    visit(key, value, value);
  }
  void path(Key key, std::string& value) override { visit(key, value, value); }
  void secret(Key key, std::string& file, std::string& content) override {
    using Both = std::pair<std::string, std::string>;
    if (mode_ == Mode::collect) {
      values_[path_of(key)] = {file, content, Both(file, content), key.takes_effect, false};
    } else if (auto found = values_.find(path_of(key));
               found != values_.end() && key.takes_effect == TakesEffect::at_restart) {
      std::tie(file, content) = std::any_cast<const Both&>(found->second.copy);
    }
  }
  void duration(Key key, Duration& value, DurationBounds) override {
    visit(key, value, format_duration(value));
  }
  void endpoint(Key key, Endpoint& value, std::uint16_t) override {
    visit(key, value, value.host.empty() ? "" : to_string(value));
  }
  void texts(Key key, std::vector<std::string>& values, TextRule) override {
    visit(key, values, joined(values, [](const auto& value) { return value; }));
  }
  void endpoints(Key key, std::vector<Endpoint>& values, std::uint16_t) override {
    visit(key, values, joined(values, [](const auto& value) { return to_string(value); }));
  }
  void ranges(Key key, std::vector<AddressRange>& values) override {
    visit(key, values, joined(values, [](const auto& value) { return value.text; }));
  }

  [[nodiscard]] const std::string& path_here() const { return path_; }
  /// What an element without a name is told by.
  [[nodiscard]] const std::string& first_text() const { return first_text_; }

 protected:
  void number64(Key key, std::uint64_t& value, Bounds) override { visit(key, value, std::to_string(value)); }
  void size64(Key key, std::uint64_t& value, Bounds) override { visit(key, value, format_size(value)); }
  void choice_index(Key key, std::size_t& value, std::span<const std::string_view> names) override {
    visit(key, value, std::string(names[value]));
  }
  void group_of(Heading heading, const Describe& describe) override {
    ValueVisitor inner(mode_, values_, path_of(heading));
    describe(inner);
  }
  bool walk_list(const Key& key, const Elements& elements) override {
    if (key.takes_effect == TakesEffect::at_restart) {
      walk_whole(key, elements);
      return true;
    }
    for (std::size_t i = 0; i < elements.count; ++i) {
      ValueVisitor inner(mode_, values_, path_of(key) + '[' + std::to_string(i) + ']', true);
      elements.describe(i, inner);
      if (mode_ == Mode::collect)
        values_[inner.path_here()] = {inner.first_text(), "", {}, key.takes_effect, true};
    }
    return true;
  }
  bool list_of(Key, const Describe&) override { return false; }
  bool list_of_short(Key, const std::function<void(const Endpoint&)>&, std::uint16_t,
                     const Describe&) override {
    return false;
  }

 private:
  [[nodiscard]] std::string path_of(const Heading& key) const {
    return path_.empty() ? std::string(key.name) : path_ + '.' + std::string(key.name);
  }
  template <class T>
  void visit(const Key& key, T& value, std::string text) {
    if (first_text_.empty()) first_text_ = text;
    if (mode_ == Mode::collect) {
      values_[path_of(key)] = {std::move(text), "", value, key.takes_effect, false};
    } else if (auto found = values_.find(path_of(key));
               found != values_.end() && key.takes_effect == TakesEffect::at_restart) {
      value = std::any_cast<const T&>(found->second.copy);
    }
  }
  /// One value: "hub-a 10.0.0.1:2525; hub-b 10.0.0.2:2525".
  void walk_whole(const Key& key, const Elements& elements) {
    auto path = path_of(key);
    if (mode_ == Mode::restore) {
      if (auto found = values_.find(path); found != values_.end()) elements.replace(found->second.copy);
      return;
    }
    std::string all;
    for (std::size_t i = 0; i < elements.count; ++i) {
      Values inside;
      ValueVisitor inner(mode_, inside, "[0]", true);
      elements.describe(i, inner);
      std::string name;
      std::string rest;
      for (const auto& [at, value] : inside) {
        if (value.text.empty()) continue;
        if (at.ends_with("].name"))
          name = value.text;
        else
          rest += ' ' + value.text;
      }
      all += (all.empty() ? "" : "; ") + name + rest;
    }
    values_[path] = {std::move(all), "", elements.copy(), key.takes_effect, false};
  }

  Mode mode_;
  Values& values_;
  std::string path_;
  std::string first_text_;
  bool is_element_;
};

Values values_of(Config config) {
  Values values;
  ValueVisitor visitor(ValueVisitor::Mode::collect, values);
  describe_config(visitor, config);
  return values;
}

/// Lies in an element that came or went as a whole.
bool is_inside_of_one(const std::string& key, const std::set<std::string>& elements) {
  for (auto at = key.find(']'); at != std::string::npos; at = key.find(']', at + 1))
    if (at + 1 < key.size() && elements.contains(key.substr(0, at + 1))) return true;
  return false;
}

}  // namespace

std::string to_string(const ConfigChange& change) {
  // An element with a name has it in its key.
  auto with = [&](const std::string& text) {
    return text.empty() || change.key.ends_with('[' + text + ']') ? std::string() : " (" + text + ')';
  };
  if (!change.from) return change.key + ": added" + with(change.to.value_or(""));
  if (!change.to) return change.key + ": removed" + with(*change.from);
  auto shown = [](const std::string& text) { return text.empty() ? std::string("none") : text; };
  return change.key + ": " + shown(*change.from) + " -> " + shown(*change.to);
}

std::vector<ConfigChange> changes_between(const Config& before, const Config& after) {
  const auto old_values = values_of(before);
  const auto new_values = values_of(after);
  std::set<std::string> elements;
  std::vector<ConfigChange> changes;
  auto note_elements = [&](const Values& here, const Values& there) {
    for (const auto& [key, value] : here)
      if (value.is_element && !there.contains(key)) elements.insert(key);
  };
  note_elements(old_values, new_values);
  note_elements(new_values, old_values);
  for (const auto& key : elements) {
    if (is_inside_of_one(key, elements)) continue;
    bool is_new = new_values.contains(key);
    const auto& value = is_new ? new_values.at(key) : old_values.at(key);
    auto text = std::optional(value.text);
    changes.push_back({key, is_new ? std::nullopt : text, is_new ? text : std::nullopt, value.takes_effect});
  }
  for (const auto& [key, now] : new_values) {
    auto found = old_values.find(key);
    if (found == old_values.end() || now.is_element || is_inside_of_one(key, elements)) continue;
    const auto& was = found->second;
    if (was.text == now.text && was.hidden == now.hidden) continue;
    bool is_hidden = was.text == now.text;
    changes.push_back({key, was.text + (is_hidden ? " (what was in it)" : ""),
                       now.text + (is_hidden ? " (what is in it now)" : ""), now.takes_effect});
  }
  std::ranges::sort(changes, {}, &ConfigChange::key);
  return changes;
}

Config with_restart_keys_of(const Config& in_force, const Config& wanted) {
  auto values = values_of(in_force);
  auto result = wanted;
  ValueVisitor restore(ValueVisitor::Mode::restore, values);
  describe_config(restore, result);
  // What no key says: it follows from keys that take effect at a restart, or from the release.
  result.file = in_force.file;
  result.cluster.version_lowest = in_force.cluster.version_lowest;
  result.cluster.version_highest = in_force.cluster.version_highest;
  result.cluster.arbiter.namespace_file = in_force.cluster.arbiter.namespace_file;
  return result;
}

}  // namespace umbra::hub
