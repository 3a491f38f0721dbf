// The admin API without its transport: a request in, a response out (docs/operations.md, "The admin API").
// The HTTP server calls commands() for the Unix socket and observations() for the TCP port, on the hub's I/O
// thread.
//
// Errors are {"error": "..."} with 400 (the request), 404 (no such message or path), 405, 409 (not in this
// state), 503 (the spool did not answer).
#pragma once

#include <memory>
#include <string>

#include "hub/admin/backend.h"

namespace umbra::hub {

struct ApiRequest {
  std::string method;
  std::string target;  ///< path and query
};

/// A response that goes on: pieces, as they come.
class ApiStream {
 public:
  virtual ~ApiStream() = default;
  /// The next piece, when there is one. Empty: it is over.
  virtual Task<std::string> next() = 0;
  /// Nobody takes it any more: next() ends soon.
  virtual void abandon() = 0;
};

struct ApiResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::shared_ptr<ApiStream> stream = nullptr;  ///< in place of a body
};

class AdminApi {
 public:
  explicit AdminApi(AdminBackend& backend) : backend_(backend) {}

  /// Everything: for those who may command this hub.
  Task<ApiResponse> commands(ApiRequest request);
  /// A question that an operator asked another hub, which has passed it on: reading only, and of that what is listed there.
  Task<ApiResponse> passed_on(std::string target);
  /// Health and metrics only: for whoever can reach the port.
  Task<ApiResponse> observations(ApiRequest request);

 private:
  Task<ApiResponse> metrics();
  Task<ApiResponse> status();
  Task<ApiResponse> queue(std::string query);
  Task<ApiResponse> one_message(std::string id);
  Task<ApiResponse> act(std::string id, std::string action);
  Task<ApiResponse> shadows(std::string query);
  Task<ApiResponse> drain(std::string method, std::string path, std::string query);
  Task<ApiResponse> safety_net(std::string method, std::string path, std::string query);
  Task<ApiResponse> suspensions(std::string method, std::string path, std::string query);
  Task<ApiResponse> trace(std::string query, bool is_passed_on);
  ApiResponse watch(const std::string& method, std::string_view query);
  Task<ApiResponse> list_kept(std::string query);
  Task<ApiResponse> begin_resend(std::string query);
  ApiResponse health(bool ready) const;
  ApiResponse peers() const;
  ApiResponse reload();

  AdminBackend& backend_;
};

}  // namespace umbra::hub
