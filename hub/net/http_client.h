// A small HTTP/1.1 client for the arbiters (etcd, the Kubernetes API): one server, one kept connection, one
// request at a time, each with a deadline; TLS 1.2 or later with a CA file. Octets from the server are
// hostile: header and body are bounded. Over the hub's streams, so that it runs on virtual time too.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hub/net/runtime.h"

namespace umbra::hub {

struct HttpServer {
  Endpoint address;              ///< the host may be a name
  std::string ca_file;           ///< PEM; empty: no TLS
  std::string certificate_file;  ///< of this client, with key_file; empty: none
  std::string key_file;
};

struct HttpRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
};

struct HttpResponse {
  unsigned status = 0;
  std::string body;
  std::optional<Duration> retry_after;  ///< in seconds only (RFC 9110 10.2.3), at most an hour
};

class HttpClient {
 public:
  static constexpr std::size_t body_octets_max = 4U << 20;

  HttpClient(Runtime runtime, HttpServer server);
  ~HttpClient();
  /// A whole response, or an error. A kept connection that has ended meanwhile is made anew once. The caller
  /// sends one at a time.
  Task<Result<HttpResponse>> send(HttpRequest request, MonotonicTime deadline);
  /// The request under way ends with an error.
  void close();
  [[nodiscard]] const HttpServer& server() const { return server_; }

 private:
  class Tls;
  Task<Result<void>> open(MonotonicTime deadline);
  Task<Result<HttpResponse>> exchange(const HttpRequest& request, bool& was_anything_heard);
  Task<ErrorCode> write(std::string_view octets);
  Task<IoResult> read(asio::mutable_buffer buffer);

  Runtime runtime_;
  HttpServer server_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Tls> tls_;
  bool keeps_ = false;
  bool is_closed_ = false;
};

}  // namespace umbra::hub
