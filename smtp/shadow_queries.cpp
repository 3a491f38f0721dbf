#include "smtp/shadow_queries.h"

#include <algorithm>

#include "base/ids.h"
#include "base/result.h"

namespace umbra::smtp {

bool is_query_target(std::string_view text) {
  return text.size() > 1 && text.size() <= query_octets_max && text.front() == '/' &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string format_query(std::string_view target) {
  UMBRA_ASSERT(is_query_target(target));
  return "XQUERY " + std::string(target) + "\r\n";
}

bool is_order_by(std::string_view text) {
  return !text.empty() && text.size() <= order_by_octets_max &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string format_order(std::string_view by, std::string_view target) {
  UMBRA_ASSERT(is_order_by(by) && is_query_target(target));
  return "XORDER " + std::string(by) + ' ' + std::string(target) + "\r\n";
}

std::string format_fetch(std::uint64_t number, std::uint64_t offset) {
  return "XANSWER " + std::to_string(number) + ' ' + std::to_string(offset) + "\r\n";
}

std::string format_asked(std::uint64_t number) {
  return "asked " + std::to_string(number);
}

std::optional<std::uint64_t> parse_asked(std::string_view text) {
  constexpr std::string_view word = "asked ";
  return text.starts_with(word) ? parse_number(text.substr(word.size())) : std::nullopt;
}

std::string format_piece(unsigned status, std::string_view body, std::uint64_t offset) {
  std::string text = std::to_string(status) + ' ' + std::to_string(body.size());
  auto rest = body.substr(static_cast<std::size_t>(std::min<std::uint64_t>(offset, body.size())))
                  .substr(0, answer_piece_octets_max);
  while (!rest.empty()) {
    // A mark in front: an answer may have anything at the beginning of a line, an enhanced status code too.
    text += "\n=";
    text += rest.substr(0, answer_line_octets);
    rest.remove_prefix(std::min(rest.size(), answer_line_octets));
  }
  return text;
}

std::optional<AnswerPiece> parse_piece(std::string_view text) {
  auto first = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(first.size() + 1, text.size()));
  auto space = first.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  auto status = parse_number(first.substr(0, space));
  auto octets = parse_number(first.substr(space + 1));
  if (!status || *status < 100 || *status > 599 || !octets || *octets > answer_octets_max)
    return std::nullopt;
  AnswerPiece piece{static_cast<unsigned>(*status), *octets, {}};
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with('=')) return std::nullopt;
    piece.text += line.substr(1);
  }
  return piece.text.size() <= *octets ? std::optional(std::move(piece)) : std::nullopt;
}

}  // namespace umbra::smtp
