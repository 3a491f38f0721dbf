// The admin API without its transport: a request in, a response out (docs/admin-api.md). The HTTP server
// calls answer() with the role of who asks, on the hub's I/O thread; what another hub passes on comes to
// passed_on().
//
// Errors are {"error": "..."} with 400 (the request), 403 (the role), 404 (no such message or path), 405, 409
// (not in this state), 503 (the spool did not answer), 504 (another hub did not answer).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hub/admin/backend.h"
#include "hub/admin/routes.h"

namespace umbra::hub {

struct PassedQuery;

struct ApiRequest {
  std::string method;
  std::string target;                 ///< path and query
  AdminRole role = AdminRole::write;  ///< of who asks: all rights for who may open the Unix socket
  std::string by = "socket";          ///< who asks, for logs: smtp::is_order_by()
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
  std::vector<std::pair<std::string, std::string>> headers = {};
};

class AdminApi {
 public:
  explicit AdminApi(AdminBackend& backend) : backend_(backend), counts_(routes().size()) {}

  /// In the order in which they are looked for.
  static std::span<const ApiRoute> routes();

  /// For whoever asks, by his role. Without a role every path but health and metrics is 404.
  Task<ApiResponse> answer(ApiRequest request);
  /// Everything: for those who may command this hub.
  Task<ApiResponse> commands(ApiRequest request) { return answer(std::move(request)); }
  /// Health and metrics only: for whoever can reach the port.
  Task<ApiResponse> observations(ApiRequest request) {
    request.role = AdminRole::none;
    return answer(std::move(request));
  }
  /// What an operator asked or ordered by way of another hub: routes that are ForHubs::yes, and of this hub
  /// alone.
  Task<ApiResponse> passed_on(PassedQuery query);

  /// Of everything that was answered over HTTP, for metrics; all() has one more than routes().
  [[nodiscard]] const RequestCounts& counts() const { return counts_; }
  /// One that the server refused before it came here (401, 413, ...).
  void count_refused(unsigned status) { counts_.add(std::nullopt, status); }

 private:
  Task<ApiResponse> find_and_answer(ApiRequest request, std::optional<std::size_t>& route);
  static Task<ApiResponse> at_once(ApiResponse response) { co_return response; }
  static ApiResponse description();

  Task<ApiResponse> metrics();
  Task<ApiResponse> status();
  Task<ApiResponse> queue(std::string query);
  Task<ApiResponse> search_queue(std::string query, bool is_passed_on);
  Task<ApiResponse> act_on_found(ApiCall call, QueueAction action);
  Task<ApiResponse> one_message(std::string id);
  Task<ApiResponse> act(std::string id, QueueAction action, std::string query);
  Task<ApiResponse> shadows(std::string query);
  Task<ApiResponse> trace(ApiCall call);
  ApiResponse watch(std::string_view query);
  ApiResponse health(bool ready) const;
  ApiResponse peers() const;
  ApiResponse reload();
  ApiResponse configuration(bool is_diff) const;
  ApiResponse certificates();
  Task<ApiResponse> of_all_hubs(std::string target, const char* name, ApiResponse own);

  Task<ApiResponse> drain_state();
  Task<ApiResponse> begin_drain(std::string query);
  Task<ApiResponse> preview_drain(std::string query);
  Task<ApiResponse> undrain();

  ApiResponse suspensions();
  Task<ApiResponse> suspend(std::string query);
  Task<ApiResponse> resume(std::string query);

  Task<ApiResponse> list_kept(std::string query);
  Task<ApiResponse> preview_resend(std::string query);
  Task<ApiResponse> begin_resend(std::string query);
  Task<ApiResponse> list_resends();
  Task<ApiResponse> one_resend(std::string name);
  Task<ApiResponse> cancel_resend(std::string name);

  Task<ApiResponse> cluster_status();
  Task<ApiResponse> cluster_configuration();
  Task<ApiResponse> cluster_queue(std::string query);
  Task<ApiResponse> copies(ApiCall call);
  Task<ApiResponse> drain_of(ApiCall call);
  Task<ApiResponse> order_drain(ApiCall call, std::string verb);
  Task<ApiResponse> order_undrain(ApiCall call);
  Task<ApiResponse> own_copy(MessageId id);
  Task<ApiResponse> order(ApiCall call, std::string target);

  AdminBackend& backend_;
  RequestCounts counts_;
};

}  // namespace umbra::hub
