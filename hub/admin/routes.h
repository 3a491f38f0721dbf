// The paths of the admin API: one table, which answers, roles, 405, what other hubs may pass on, the counts
// of requests and the test of the OpenAPI description all go by. The table itself is in routes.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/admin/tokens.h"
#include "hub/net/task.h"

namespace umbra::hub {

class AdminApi;
struct ApiResponse;

/// A request that has found its route.
struct ApiCall {
  std::vector<std::string>
      words;  ///< what stands for {words} of the pattern, in their order; never empty ones
  std::string query;
  std::string by;             ///< who asks: smtp::is_order_by()
  bool is_passed_on = false;  ///< another hub asks: about this hub alone
};

/// Whether another hub may pass the request on.
enum class ForHubs : std::uint8_t { no, yes };

struct ApiRoute {
  std::string_view method;
  std::string_view pattern;  ///< "/v1/queue/{id}": a {word} stands for one segment
  AdminRole role;            ///< the least that is needed; none: health and metrics, for everybody
  ForHubs for_hubs;
  Task<ApiResponse> (*handler)(AdminApi& api, ApiCall call);
};

/// The words that stand in the path for those of the pattern; nothing: it does not fit. Nothing is decoded,
/// no path is mended.
std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path);

/// How many requests were answered, by route and class of status.
class RequestCounts {
 public:
  static constexpr std::size_t classes = 5;  ///< 1xx to 5xx
  explicit RequestCounts(std::size_t routes) : counts_(routes + 1) {}

  /// `route`: its place in the table; nothing: of no route (wrong paths, refusals before a path was looked
  /// at).
  void add(std::optional<std::size_t> route, unsigned status) {
    if (status >= 100 && status < 600) ++counts_[route.value_or(counts_.size() - 1)][status / 100 - 1];
  }
  /// In the order of the table; the last one is of no route.
  [[nodiscard]] const std::vector<std::array<std::uint64_t, classes>>& all() const { return counts_; }

 private:
  std::vector<std::array<std::uint64_t, classes>> counts_;
};

}  // namespace umbra::hub
