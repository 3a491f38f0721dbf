// The questions of operators that one session of another hub has asked and whose answers it has not fetched
// yet (docs/xshadow.md section 19). Few and bounded; they end with the session. Home thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "hub/net/task.h"
#include "smtp/reply.h"
#include "smtp/shadow_queries.h"

namespace umbra::hub {

struct QueryAnswer {
  unsigned status = 0;  ///< as of HTTP
  std::string body;     ///< JSON
};
/// What an operator asks another hub, or orders by way of it.
struct PassedQuery {
  std::string hub;      ///< that passes it on, and has proved that it is that hub
  std::string by = {};  ///< an order: who gave it, as that hub says. Empty: a question
  std::string target = {};
};
/// Answers it, or says that it is none that is answered to hubs (404).
using QueryAnswerer = std::function<Task<QueryAnswer>(PassedQuery query)>;

class OpenQueries {
 public:
  static constexpr Duration kept_for = std::chrono::seconds(60);

  /// The reply to XQUERY or XORDER. `answerer` and `scope` outlive what is asked here: the owner of both
  /// joins.
  smtp::Reply ask(TaskScope& scope, const QueryAnswerer& answerer, PassedQuery query);
  /// The reply to XANSWER. What was fetched to its end is gone.
  smtp::Reply fetch(std::uint64_t number, std::uint64_t offset);

 private:
  struct Open {
    MonotonicTime asked_at{};
    bool is_ready = false;
    QueryAnswer answer{};
  };
  static Task<void> answer(const QueryAnswerer& answerer, PassedQuery query, std::weak_ptr<Open> open);

  std::map<std::uint64_t, std::shared_ptr<Open>> open_;
  std::uint64_t next_ = 1;
};

}  // namespace umbra::hub
