// Answers where messages are and were: of this hub from its spool and its tracking log, and where that is
// asked for of the whole cluster. First it finds out which messages are meant, then what every hub knows of
// these: a hub may have records of a message that do not name what was asked for. Owned by the hub; home
// thread. Files are searched on a lane of its own.
#pragma once

#include "hub/admin/trace_control.h"
#include "hub/peering/questions.h"
#include "hub/trace/spool_facts.h"
#include "hub/trace/stories.h"

namespace umbra::hub {

class Tracer final : public TraceControl {
 public:
  static constexpr std::size_t traces_max = 8;  ///< at once

  /// `lane` runs jobs one after the other, and must outlive every trace. `questions` null: there is no
  /// cluster.
  Tracer(Runtime runtime, const Config& config, storage::Spool& spool, storage::Executor& lane,
         Questions* questions)
      : runtime_(runtime), config_(config), spool_(spool), lane_(lane), questions_(questions) {}

  Task<Result<Json>> trace(TraceQuestion question) override;

 private:
  Task<Result<Json>> answer(TraceQuestion question);
  Task<void> ask_others(TraceQuestion question, std::vector<HubStory>& hubs);
  /// Which messages fit, as this hub knows, and the latest word of each; the newest.
  Task<Result<std::map<MessageId, WallTime>>> find(TraceQuestion question, HubStory& own);
  Task<Result<void>> tell(std::vector<MessageId> ids, TraceQuestion question, HubStory& own);
  Task<TrackingSearch> search(TraceQuestion question);
  [[nodiscard]] SpoolPlace place() const {
    return {runtime_, spool_, config_.hub_name, config_.safety_net.enabled()};
  }

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  storage::Executor& lane_;
  Questions* questions_;
  std::size_t running_ = 0;
};

}  // namespace umbra::hub
