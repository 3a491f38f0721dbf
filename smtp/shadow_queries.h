// XQUERY and XANSWER: a question that an operator asked one hub, asked of another one, and its answer in
// pieces (docs/xshadow.md section 19). And XORDER: an order of an operator to another hub, answered in the
// same way. The question is answered at once with a number, and what comes of it is fetched under that number
// when it is there: nobody's heartbeat waits behind the search of a log. Everything read is hostile until
// parsed here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace umbra::smtp {

inline constexpr std::string_view query_capability = "XQUERY";
inline constexpr std::string_view order_capability = "XORDER";
inline constexpr std::size_t order_by_octets_max = 200;
inline constexpr std::size_t query_octets_max = 4000;       ///< of a question
inline constexpr std::size_t answer_octets_max = 1U << 20;  ///< of an answer
inline constexpr std::size_t answer_piece_octets_max =
    45'000;  ///< of it in one reply: well below what a reply may have
inline constexpr std::size_t answer_line_octets = 900;
inline constexpr std::size_t open_queries_max = 8;  ///< of one session

/// Path and query of a request ("/v1/trace?id=..."): visible ASCII, percent-encoded.
bool is_query_target(std::string_view text);

/// Who gave an order, for the log of the hub that carries it out: visible ASCII, at most order_by_octets_max.
bool is_order_by(std::string_view text);

std::string format_query(std::string_view target);
std::string format_order(std::string_view by, std::string_view target);
std::string format_fetch(std::uint64_t number, std::uint64_t offset);

/// What the reply to XQUERY says: the number of the question.
std::string format_asked(std::uint64_t number);
std::optional<std::uint64_t> parse_asked(std::string_view text);

/// A part of an answer, as the reply to XANSWER has it: lines of visible ASCII and blanks.
struct AnswerPiece {
  unsigned status = 0;       ///< as of HTTP
  std::uint64_t octets = 0;  ///< of the whole answer
  std::string text;          ///< of it, from the offset that was asked for
  bool operator==(const AnswerPiece&) const = default;
};
/// Of `body` from `offset` on. It has no control characters, and ASCII alone.
std::string format_piece(unsigned status, std::string_view body, std::uint64_t offset);
std::optional<AnswerPiece> parse_piece(std::string_view text);

}  // namespace umbra::smtp
