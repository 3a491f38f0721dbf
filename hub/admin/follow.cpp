#include "hub/admin/follow.h"

#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>

#include <array>

#include "hub/admin/version.h"

namespace umbra::hub {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::size_t line_octets_max = 1U << 20;

/// Why a hub refuses, of the body of its answer.
std::string why_refused(unsigned status, const std::string& body) {
  auto json = nlohmann::ordered_json::parse(body, nullptr, false);
  const bool has_words = json.is_object() && json.contains("error") && json["error"].is_string();
  return has_words ? json["error"].get<std::string>() : "the hub answered " + std::to_string(status);
}

}  // namespace

std::expected<void, AdminRefusal> follow_hub(const std::string& socket, const std::string& target,
                                             const std::function<bool(std::string_view)>& take_line) {
  const auto what = "ask the hub at " + socket;
  if (socket.size() >= sizeof(sockaddr_un::sun_path))
    return std::unexpected(AdminRefusal{0, what + ": the name is too long"});
  asio::io_context io;
  asio::local::stream_protocol::socket stream(io);
  boost::system::error_code error;
  stream.connect(asio::local::stream_protocol::endpoint(socket), error);
  if (error) return std::unexpected(AdminRefusal{0, what + ": " + error.message()});

  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "hub");
  request.set(http::field::user_agent, std::string("umbra/") + version);
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  boost::beast::flat_buffer buffer;
  http::write(stream, request, error);
  if (!error) http::read_header(stream, buffer, parser, error);
  if (error) return std::unexpected(AdminRefusal{0, what + ": " + error.message()});

  const unsigned status = parser.get().result_int();
  std::string unread;
  std::array<char, 64U << 10> octets{};
  while (!parser.is_done()) {
    parser.get().body().data = octets.data();
    parser.get().body().size = octets.size();
    http::read_some(stream, buffer, parser, error);
    if (error == http::error::need_buffer) error = {};
    if (error) return std::unexpected(AdminRefusal{200, "the hub has gone: " + error.message()});
    unread.append(octets.data(), octets.size() - parser.get().body().size);
    if (status != 200 && unread.size() <= line_octets_max) continue;
    std::size_t begin = 0;
    for (auto end = unread.find('\n'); end != std::string::npos; end = unread.find('\n', begin)) {
      if (!take_line(std::string_view(unread).substr(begin, end - begin))) return {};
      begin = end + 1;
    }
    unread.erase(0, begin);
    if (unread.size() > line_octets_max)
      return std::unexpected(AdminRefusal{200, "the hub's line has no end"});
  }
  if (status != 200) return std::unexpected(AdminRefusal{status, why_refused(status, unread)});
  return {};
}

}  // namespace umbra::hub
