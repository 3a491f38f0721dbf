#include "hub/admin/client.h"

#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "hub/admin/version.h"

namespace umbra::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using LocalStream = beast::basic_stream<asio::local::stream_protocol>;

constexpr std::uint64_t answer_octets_max = 256ULL << 20;

}  // namespace

Result<AdminAnswer> ask_hub(const std::string& socket, const std::string& method, const std::string& target,
                            Duration timeout) {
  auto what = "ask the hub at " + socket;
  if (socket.size() >= sizeof(sockaddr_un::sun_path)) return failure(std::errc::filename_too_long, what);
  asio::io_context io;
  LocalStream stream(io);
  stream.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout));

  http::request<http::empty_body> request(http::string_to_verb(method), target, 11);
  request.set(http::field::host, "hub");
  request.set(http::field::user_agent, std::string("umbra/") + version);
  request.prepare_payload();
  request.keep_alive(false);
  http::response_parser<http::string_body> answer;
  answer.body_limit(answer_octets_max);
  beast::flat_buffer buffer;

  // Three steps, each begun by the one before; run() returns when the last one is over.
  std::optional<boost::system::error_code> failed;
  auto on_read = [&](boost::system::error_code error, std::size_t) { failed = error; };
  auto on_written = [&](boost::system::error_code error, std::size_t) {
    failed = error;
    if (!error) http::async_read(stream, buffer, answer, on_read);
  };
  stream.async_connect(asio::local::stream_protocol::endpoint(socket), [&](boost::system::error_code error) {
    failed = error;
    if (!error) http::async_write(stream, request, on_written);
  });
  io.run();

  if (failed == beast::error::timeout) return failure(std::errc::timed_out, what);
  if (failed && *failed) {
    return failure(
        *failed == asio::error::connection_refused || failed->category() == boost::system::system_category()
            ? std::error_code(failed->value(), std::generic_category())
            : std::make_error_code(std::errc::connection_aborted),
        what + ": " + failed->message());
  }
  return AdminAnswer{answer.get().result_int(), std::move(answer.get().body())};
}

std::expected<nlohmann::ordered_json, AdminRefusal> ask_hub_json(const std::string& socket,
                                                                 const std::string& method,
                                                                 const std::string& target,
                                                                 unsigned also_good) {
  auto answer = ask_hub(socket, method, target);
  if (!answer) return std::unexpected(AdminRefusal{0, answer.error().what});
  auto json = nlohmann::ordered_json::parse(answer->body, nullptr, false);
  if (answer->status == 200 || answer->status == also_good) {
    if (json.is_object()) return json;
    return std::unexpected(AdminRefusal{200, "the hub's answer is not JSON"});
  }
  bool has_words = json.is_object() && json.contains("error") && json["error"].is_string();
  return std::unexpected(
      AdminRefusal{answer->status, has_words ? json["error"].get<std::string>()
                                             : "the hub answered " + std::to_string(answer->status)});
}

}  // namespace umbra::hub
