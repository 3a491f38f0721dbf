// The header section of a message as a list of fields that a content filter may change (RFC 5322
// section 2.2). What is not changed is given back octet by octet, whatever it looks like. Pure; the caller
// bounds the size.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::milter {

class HeaderSection {
 public:
  struct Field {
    std::string raw;  ///< with folds and its last line end
    std::size_t name_octets = 0;
    [[nodiscard]] std::string_view name() const { return std::string_view(raw).substr(0, name_octets); }
    /// What a filter is told: what stands behind the colon, with "\n" for line ends and without the last one.
    /// Without `has_space` one blank at the front is left out.
    [[nodiscard]] std::string value(bool has_space) const;
  };

  /// Where the header section of `text` ends: before the empty line, or before a line that belongs to no
  /// field. Nothing: the end has not come. `at` is where to go on looking: 0 at first, then what the call
  /// before has left there, with a longer text.
  static std::optional<std::size_t> end_of(std::string_view text, std::size_t& at);
  /// `text` is what end_of() found.
  explicit HeaderSection(std::string_view text = {});

  /// Values as in an Edit. Without `has_space` a blank is put in front of the value.
  void add(std::string_view name, std::string_view value, bool has_space);
  void insert(std::uint32_t index, std::string_view name, std::string_view value, bool has_space);
  void change(std::uint32_t index, std::string_view name, std::string_view value, bool has_space);

  [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }
  [[nodiscard]] bool is_changed() const { return is_changed_; }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::size_t octets() const;

 private:
  void end_last_line();
  std::vector<Field> fields_;
  bool is_changed_ = false;
};

}  // namespace umbra::milter
