#include "smtp/milter/header_section.h"

#include <algorithm>

#include "smtp/address.h"

namespace umbra::milter {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Octets of the name that `line` begins with; 0: it begins no field. Blanks before the colon are old syntax
/// (RFC 5322 section 4.5).
std::size_t name_at(std::string_view line) {
  std::size_t end = 0;
  while (end < line.size() && line[end] > 0x20 && line[end] < 0x7f && line[end] != ':') ++end;
  auto colon = end;
  while (colon < line.size() && is_blank(line[colon])) ++colon;
  return colon < line.size() && line[colon] == ':' ? end : 0;
}

HeaderSection::Field make(std::string_view name, std::string_view value, bool has_space) {
  HeaderSection::Field field;
  field.name_octets = name.size();
  field.raw.append(name).append(has_space ? ":" : ": ");
  for (char c : value) {
    if (c == '\n') field.raw.push_back('\r');
    field.raw.push_back(c);
  }
  field.raw.append("\r\n");
  return field;
}

}  // namespace

std::string HeaderSection::Field::value(bool has_space) const {
  auto rest = std::string_view(raw).substr(raw.find(':') + 1);
  while (rest.ends_with('\n') || rest.ends_with('\r')) rest.remove_suffix(1);
  if (!has_space && rest.starts_with(' ')) rest.remove_prefix(1);
  std::string value;
  value.reserve(rest.size());
  for (char c : rest)
    if (c != '\r' && c != '\0') value.push_back(c);
  return value;
}

std::optional<std::size_t> HeaderSection::end_of(std::string_view text, std::size_t& at) {
  while (true) {
    const auto end = text.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    const auto line = text.substr(at, end - at);
    const bool goes_on = at != 0 && !line.empty() && is_blank(line.front());
    if (!goes_on && name_at(line) == 0) return at;
    at = end + 2;
  }
}

HeaderSection::HeaderSection(std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find("\r\n");
    const auto octets = end == std::string_view::npos ? text.size() : end + 2;
    const auto line = text.substr(0, octets);
    if (!fields_.empty() && is_blank(line.front()))
      fields_.back().raw.append(line);
    else
      fields_.push_back({std::string(line), name_at(line)});
    text.remove_prefix(octets);
  }
}

/// A message by BDAT may end in the middle of a header line.
void HeaderSection::end_last_line() {
  if (!fields_.empty() && !fields_.back().raw.ends_with("\r\n")) fields_.back().raw.append("\r\n");
}

void HeaderSection::add(std::string_view name, std::string_view value, bool has_space) {
  end_last_line();
  fields_.push_back(make(name, value, has_space));
  is_changed_ = true;
}

void HeaderSection::insert(std::uint32_t index, std::string_view name, std::string_view value,
                           bool has_space) {
  end_last_line();
  const auto place = std::min<std::size_t>(index == 0 ? 0 : index - 1, fields_.size());
  fields_.insert(fields_.begin() + static_cast<std::ptrdiff_t>(place), make(name, value, has_space));
  is_changed_ = true;
}

void HeaderSection::change(std::uint32_t index, std::string_view name, std::string_view value,
                           bool has_space) {
  auto left = std::max<std::uint32_t>(index, 1);
  const auto found = std::ranges::find_if(fields_, [&](const Field& field) {
    return smtp::equals_ignoring_case(field.name(), name) && --left == 0;
  });
  if (found == fields_.end()) {
    if (!value.empty()) add(name, value, has_space);
    return;
  }
  if (value.empty())
    fields_.erase(found);
  else
    *found = make(name, value, has_space);
  is_changed_ = true;
}

std::string HeaderSection::text() const {
  std::string text;
  text.reserve(octets());
  for (const auto& field : fields_) text.append(field.raw);
  return text;
}

std::size_t HeaderSection::octets() const {
  std::size_t octets = 0;
  for (const auto& field : fields_) octets += field.raw.size();
  return octets;
}

}  // namespace umbra::milter
