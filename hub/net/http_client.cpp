#include "hub/net/http_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <boost/asio/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/ids.h"

namespace umbra::hub {
namespace {

namespace http = boost::beast::http;
constexpr std::uint32_t header_octets_max = 64U << 10;
constexpr std::size_t read_octets = 16384;

std::string tls_error() {
  char text[256] = "";
  if (auto code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

bool is_literal(const std::string& host) {
  return host.find(':') != std::string::npos || host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

/// TLS over a stream, by memory BIOs: OpenSSL sees octets, never a socket.
class HttpClient::Tls {
 public:
  static Result<std::unique_ptr<Tls>> make(const HttpServer& server) {
    auto tls = std::make_unique<Tls>();
    tls->context_.reset(SSL_CTX_new(TLS_client_method()));
    auto* context = tls->context_.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    // Read anew for every connection: the files rotate.
    if (SSL_CTX_load_verify_locations(context, server.ca_file.c_str(), nullptr) != 1)
      return failure(std::errc::no_such_file_or_directory, "read " + server.ca_file + ": " + tls_error());
    if (!server.certificate_file.empty() &&
        (SSL_CTX_use_certificate_chain_file(context, server.certificate_file.c_str()) != 1 ||
         SSL_CTX_use_PrivateKey_file(context, server.key_file.c_str(), SSL_FILETYPE_PEM) != 1))
      return failure(std::errc::no_such_file_or_directory,
                     "read " + server.certificate_file + ": " + tls_error());
    tls->ssl_.reset(SSL_new(context));
    auto* ssl = tls->ssl_.get();
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    const auto& host = server.address.host;
    if (is_literal(host)) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
    } else {
      SSL_set_tlsext_host_name(ssl, host.c_str());
      SSL_set1_host(ssl, host.c_str());
    }
    SSL_set_connect_state(ssl);
    return tls;
  }

  /// Runs one step; feeds and drains the stream until it is done.
  template <class Step>
  Task<Result<int>> run(Stream& stream, Step step) {
    std::array<char, read_octets> buffer;
    for (;;) {
      ERR_clear_error();
      int done = step(ssl_.get());
      int why = SSL_get_error(ssl_.get(), done);
      std::string out;
      while (BIO_ctrl_pending(SSL_get_wbio(ssl_.get())) > 0) {
        int got = BIO_read(SSL_get_wbio(ssl_.get()), buffer.data(), static_cast<int>(buffer.size()));
        if (got <= 0) break;
        out.append(buffer.data(), static_cast<std::size_t>(got));
      }
      if (!out.empty())
        if (auto error = co_await stream.write(out)) co_return failure(error, "write");
      if (done > 0) co_return done;
      if (why == SSL_ERROR_ZERO_RETURN)
        co_return failure(asio::error::make_error_code(asio::error::eof), "read");
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
        auto verified = SSL_get_verify_result(ssl_.get());
        co_return failure(
            std::errc::protocol_error,
            std::string("TLS: ") +
                (verified != X509_V_OK ? X509_verify_cert_error_string(verified) : tls_error()));
      }
      if (why == SSL_ERROR_WANT_WRITE) continue;
      auto got = co_await stream.read_some(asio::buffer(buffer));
      if (got.error) co_return failure(got.error, "read");
      BIO_write(SSL_get_rbio(ssl_.get()), buffer.data(), static_cast<int>(got.octets));
    }
  }

 private:
  struct Free {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
    void operator()(SSL* s) const { SSL_free(s); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
};

HttpClient::HttpClient(Runtime runtime, HttpServer server) : runtime_(runtime), server_(std::move(server)) {}
HttpClient::~HttpClient() = default;

void HttpClient::close() {
  is_closed_ = true;
  if (stream_) stream_->close();
}

Task<Result<void>> HttpClient::open(MonotonicTime deadline) {
  tls_.reset();
  stream_.reset();
  auto what = "connect to " + to_string(server_.address);
  auto addresses = co_await runtime_.resolver.addresses(server_.address.host);
  if (!addresses) co_return std::unexpected(addresses.error());
  if (addresses->empty()) co_return failure(std::errc::host_unreachable, what + ": the name has no address");
  if (is_closed_) co_return failure(std::errc::operation_canceled, what);
  auto stream = co_await runtime_.network.connect({addresses->front(), server_.address.port}, deadline);
  if (!stream) co_return std::unexpected(stream.error());
  if (is_closed_) co_return failure(std::errc::operation_canceled, what);
  stream_ = std::move(*stream);
  if (server_.ca_file.empty()) co_return Result<void>{};
  auto tls = Tls::make(server_);
  if (!tls) co_return std::unexpected(tls.error());
  tls_ = std::move(*tls);
  Watchdog watchdog(runtime_.io, *stream_);
  watchdog.expires_at(deadline);
  auto shaken = co_await tls_->run(*stream_, [](SSL* ssl) { return SSL_do_handshake(ssl); });
  if (!shaken) co_return std::unexpected(shaken.error());
  co_return Result<void>{};
}

Task<Result<HttpResponse>> HttpClient::send(HttpRequest request, MonotonicTime deadline) {
  for (bool is_kept = stream_ != nullptr;; is_kept = false) {
    if (is_closed_) co_return failure(std::errc::operation_canceled, "send a request");
    if (!is_kept)
      if (auto opened = co_await open(deadline); !opened) {
        tls_.reset();
        stream_.reset();
        co_return std::unexpected(opened.error());
      }
    bool was_anything_heard = false;
    Result<HttpResponse> response;
    {
      Watchdog watchdog(runtime_.io, *stream_);
      watchdog.expires_at(deadline);
      response = co_await exchange(request, was_anything_heard);
    }
    if (response && keeps_) co_return response;
    tls_.reset();
    stream_.reset();
    if (response) co_return response;
    bool may_have_been_closed = is_kept && !was_anything_heard && MonotonicClock::now() < deadline;
    if (!may_have_been_closed) co_return response;
  }
}

Task<Result<HttpResponse>> HttpClient::exchange(const HttpRequest& request, bool& was_anything_heard) {
  std::string text = request.method + ' ' + request.target +
                     " HTTP/1.1\r\nHost: " + to_string(server_.address) +
                     "\r\nUser-Agent: umbra\r\nAccept: application/json\r\n";
  for (const auto& [name, value] : request.fields) text += name + ": " + value + "\r\n";
  if (!request.body.empty()) text += "Content-Type: application/json\r\n";
  text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" + request.body;
  if (auto error = co_await write(text)) co_return failure(error, "send to " + to_string(server_.address));
  http::response_parser<http::string_body> parser;
  parser.header_limit(header_octets_max);
  parser.body_limit(body_octets_max);
  parser.eager(true);
  std::string input;
  std::array<char, read_octets> buffer;
  while (!parser.is_done()) {
    auto got = co_await read(asio::buffer(buffer));
    boost::beast::error_code error;
    if (got.error == asio::error::eof && was_anything_heard) {
      parser.put_eof(error);
      if (error) co_return failure(error, "read from " + to_string(server_.address));
      break;
    }
    if (got.error) co_return failure(got.error, "read from " + to_string(server_.address));
    was_anything_heard = true;
    input.append(buffer.data(), got.octets);
    while (!input.empty() && !parser.is_done()) {
      auto taken = parser.put(asio::buffer(input), error);
      input.erase(0, taken);
      if (error == http::error::need_more) break;
      if (error) co_return failure(error, "read from " + to_string(server_.address));
      if (taken == 0) break;
    }
    if (input.size() > header_octets_max)
      co_return failure(std::errc::message_size, "read from " + to_string(server_.address));
  }
  HttpResponse response;
  const auto& message = parser.get();
  response.status = message.result_int();
  if (auto seconds = parse_number(std::string(message[http::field::retry_after])))
    response.retry_after = std::chrono::seconds{std::min<std::uint64_t>(*seconds, 3600)};
  response.body = message.body();
  keeps_ = message.keep_alive() && input.empty();
  co_return response;
}

Task<ErrorCode> HttpClient::write(std::string_view octets) {
  if (!tls_) co_return co_await stream_->write(octets);
  auto done = co_await tls_->run(*stream_, [octets](SSL* ssl) {
    return SSL_write(ssl, octets.data(), static_cast<int>(octets.size()));
  });
  co_return done ? ErrorCode{} : ErrorCode(asio::error::make_error_code(asio::error::connection_reset));
}

Task<IoResult> HttpClient::read(asio::mutable_buffer buffer) {
  if (!tls_) co_return co_await stream_->read_some(buffer);
  auto done = co_await tls_->run(
      *stream_, [buffer](SSL* ssl) { return SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size())); });
  if (done) co_return IoResult{{}, static_cast<std::size_t>(*done)};
  bool is_eof = done.error().code == asio::error::make_error_code(asio::error::eof);
  co_return IoResult{is_eof ? asio::error::make_error_code(asio::error::eof)
                            : asio::error::make_error_code(asio::error::connection_reset),
                     0};
}

}  // namespace umbra::hub
