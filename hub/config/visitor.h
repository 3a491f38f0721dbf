// The keys of the configuration file are described once, in describe.cpp, by walking the structs of config.h
// with a visitor. One visitor reads a YAML file into the structs (yaml_reader), another one turns the same
// walk into the JSON schema and the reference page (schema), a third one compares two configurations and
// keeps of one what a reload cannot change (changes). So they cannot say different things.
#pragma once

#include <algorithm>
#include <any>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/config/config.h"

namespace umbra::hub {

/// A group of keys: its name, whether it must be there, and what it is in a sentence or two (Markdown).
struct Heading {
  std::string_view name;
  std::string_view what;
  bool required = false;
};

/// When a value that has changed in the file is in force.
enum class TakesEffect : std::uint8_t {
  at_reload,  ///< `umbra reload`, SIGHUP; whoever uses it reads it from the hub's one Config when it is
              ///< needed (live_config.h)
  at_restart
};

/// One key of a group. For a list: when an element that was added or removed is in force.
struct Key : Heading {
  constexpr Key(std::string_view named, std::string_view means, TakesEffect effect, bool is_required = false)
      : Heading{named, means, is_required}, takes_effect(effect) {}
  TakesEffect takes_effect;
};

/// Inclusive bounds, in the value's own unit.
struct Bounds {
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::int64_t>::max();
};
struct DurationBounds {
  Duration min{};
  Duration max = std::chrono::hours(24 * 365);
};

/// What a text must look like. The words of `expected` stand behind the offending value.
struct TextRule {
  bool (*accepts)(std::string_view) = nullptr;
  std::string_view expected;
};

class ConfigVisitor {
 public:
  using Describe = std::function<void(ConfigVisitor&)>;

  virtual ~ConfigVisitor() = default;

  virtual void text(Key key, std::string& value, TextRule rule) = 0;
  /// A path; relative ones are taken from the folder of the configuration file.
  virtual void path(Key key, std::string& value) = 0;
  virtual void duration(Key key, Duration& value, DurationBounds bounds) = 0;
  virtual void endpoint(Key key, Endpoint& value, std::uint16_t default_port) = 0;
  virtual void texts(Key key, std::vector<std::string>& values, TextRule rule) = 0;
  virtual void endpoints(Key key, std::vector<Endpoint>& values, std::uint16_t default_port) = 0;
  virtual void ranges(Key key, std::vector<AddressRange>& values) = 0;
  /// A file whose content is the value, and is never shown.
  virtual void secret(Key key, std::string& file, std::string& content) {
    (void)content;
    path(key, file);
  }

  template <class Int>
  void number(Key key, Int& value, Bounds bounds) {
    auto wide = static_cast<std::uint64_t>(value);
    bounds.max = std::min<std::uint64_t>(bounds.max, std::numeric_limits<Int>::max());
    number64(key, wide, bounds);
    value = static_cast<Int>(wide);
  }
  /// Octets.
  template <class Int>
  void size(Key key, Int& value, Bounds bounds) {
    auto wide = static_cast<std::uint64_t>(value);
    bounds.max = std::min<std::uint64_t>(bounds.max, std::numeric_limits<Int>::max());
    size64(key, wide, bounds);
    value = static_cast<Int>(wide);
  }
  template <class Enum>
  void choice(Key key, Enum& value, std::span<const std::string_view> names) {
    auto index = static_cast<std::size_t>(value);
    choice_index(key, index, names);
    value = static_cast<Enum>(index);
  }
  template <class T>
  void group(Heading heading, T& value, void (*describe)(ConfigVisitor&, T&)) {
    group_of(heading, [&](ConfigVisitor& inner) { describe(inner, value); });
  }
  /// A list of groups. What the file gives replaces the default altogether.
  template <class T>
  void list(Key key, std::vector<T>& values, void (*describe)(ConfigVisitor&, T&)) {
    if (walk_list(key, elements_of(values, describe))) return;
    auto read = std::vector<T>{};
    bool given = list_of(key, [&](ConfigVisitor& inner) {
      read.emplace_back();
      describe(inner, read.back());
    });
    if (given) values = std::move(read);
  }
  /// The one value that may be written in short (an endpoint alone) or as a group.
  template <class T>
  void list_short(Key key, std::vector<T>& values, Endpoint T::* member, std::uint16_t default_port,
                  void (*describe)(ConfigVisitor&, T&)) {
    if (walk_list(key, elements_of(values, describe))) return;
    auto read = std::vector<T>{};
    bool given = list_of_short(
        key,
        [&](const Endpoint& endpoint) {
          read.emplace_back();
          read.back().*member = endpoint;
        },
        default_port,
        [&](ConfigVisitor& inner) {
          read.emplace_back();
          describe(inner, read.back());
        });
    if (given) values = std::move(read);
  }
  void optional_endpoint(Key key, std::optional<Endpoint>& value) {
    auto given = value.value_or(Endpoint{});
    endpoint(key, given, 0);
    value = given.host.empty() ? std::nullopt : std::optional(given);
  }

 protected:
  virtual void number64(Key key, std::uint64_t& value, Bounds bounds) = 0;
  virtual void size64(Key key, std::uint64_t& value, Bounds bounds) = 0;
  virtual void choice_index(Key key, std::size_t& value, std::span<const std::string_view> names) = 0;
  virtual void group_of(Heading heading, const Describe& describe) = 0;
  /// The elements that a list has, for visitors that look at values instead of reading or describing them.
  struct Elements {
    std::size_t count = 0;
    std::function<void(std::size_t, ConfigVisitor&)> describe;
    std::function<std::any()> copy;                ///< the whole list
    std::function<void(const std::any&)> replace;  ///< by such a copy
  };
  /// True: done, list_of() is not called.
  virtual bool walk_list(const Key&, const Elements&) { return false; }
  /// True when the file gives the list (calls describe once per element).
  virtual bool list_of(Key key, const Describe& describe) = 0;
  virtual bool list_of_short(Key key, const std::function<void(const Endpoint&)>& add,
                             std::uint16_t default_port, const Describe& describe) = 0;

 private:
  template <class T>
  static Elements elements_of(std::vector<T>& values, void (*describe)(ConfigVisitor&, T&)) {
    return {values.size(),
            [&values, describe](std::size_t i, ConfigVisitor& inner) { describe(inner, values[i]); },
            [&values] { return std::any(values); },
            [&values](const std::any& copy) { values = std::any_cast<const std::vector<T>&>(copy); }};
  }
};

/// What is in force where the file says nothing.
Config documented_defaults();

/// Walks all keys of the file, in the order of the reference page.
void describe_config(ConfigVisitor& visitor, Config& config);

}  // namespace umbra::hub
