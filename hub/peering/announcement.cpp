#include "hub/peering/announcement.h"

namespace umbra::hub {

void Announcement::tell() {
  if (is_stopping_) return;
  std::erase_if(told_, [](const auto& known) { return known.first.expired(); });
  for (const auto& member : members_.all()) {
    auto& told = told_[member];
    if (told.is_under_way || !is_due(*member, told)) continue;
    told.is_under_way = true;
    tasks_.spawn(what_.task_name, tell_one(member));
  }
}

Task<void> Announcement::tell_one(std::shared_ptr<Member> member) {
  auto& told = told_[member];  // stays where it is as long as the member lives
  while (is_due(*member, told)) {
    told.at = present(*member);
    bool is_offered = member->control->offers(what_.keyword);
    if (!is_offered) what_.not_offered(*member);
    auto command = is_offered ? what_.command() : std::string();
    if (command.empty()) continue;
    auto outcome = co_await member->control->call_or_end(std::move(command), what_.timeout);
    bool is_told = outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 250;
    bool is_present = told.at == present(*member);
    if (!is_told) told.at = {0, 0};
    if (!is_told && is_present) break;
  }
  told.is_under_way = false;
}

Task<void> Announcement::stop() {
  is_stopping_ = true;
  co_await tasks_.join();
}

}  // namespace umbra::hub
