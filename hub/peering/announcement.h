// Something that this hub tells every other one, once in each session for control, and again when it has
// changed: its configuration, who has left. To each hub one call at a time, and always the latest; a hub that
// did not take it is told at the next change, of what is told or of that hub. Owned by the part of Peering
// that knows what to tell; home thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "hub/peering/members.h"

namespace umbra::hub {

class Announcement {
 public:
  struct What {
    std::string_view keyword;  ///< whoever offers it is told (smtp/shadow_capabilities.h)
    const char* task_name = "";
    Duration timeout{};                    ///< for the answer, which is 250; without one the session is ended
    std::function<std::string()> command;  ///< as of now; empty: nothing to tell
    std::function<void(Member&)> not_offered = [](Member&) {
    };  ///< once in each session with a hub that does not offer it
  };
  Announcement(Runtime runtime, Members& members, What what)
      : members_(members), what_(std::move(what)), tasks_(runtime.io) {}

  /// Tells those that do not know it yet. To be called whenever a member has changed.
  void tell();
  /// It is another one from now on.
  void changed() {
    ++version_;
    tell();
  }
  Task<void> stop();

 private:
  /// What a hub was told: the session (of `control`) and the version.
  using Moment = std::pair<std::uint64_t, std::uint64_t>;
  struct Told {
    Moment at{0, 0};
    bool is_under_way = false;
  };
  [[nodiscard]] Moment present(const Member& member) const { return {member.control->session(), version_}; }
  [[nodiscard]] bool is_due(const Member& member, const Told& told) const {
    return !is_stopping_ && !member.is_forgotten && member.control->is_open() && told.at != present(member);
  }
  Task<void> tell_one(std::shared_ptr<Member> member);

  Members& members_;
  const What what_;
  TaskScope tasks_;
  std::map<std::weak_ptr<Member>, Told, std::owner_less<>> told_;
  std::uint64_t version_ = 1;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
