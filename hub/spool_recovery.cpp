#include "hub/spool_recovery.h"

#include "storage/salvage.h"
#include "storage/set_aside.h"

namespace umbra::hub {
namespace {

constexpr std::size_t named_max = 200;

/// Its unprotected messages are nowhere else. Best effort: the database is damaged.
void name_what_only_it_had(const std::string& folder, const std::string& vfs, EventLog& log) {
  auto salvage = storage::Salvage::open(folder, vfs);
  std::size_t named = 0;
  std::optional<std::size_t> count;
  if (salvage) {
    if (auto unprotected = (*salvage)->unprotected()) {
      count = unprotected->size();
      for (const auto& id : *unprotected) {
        if (named++ == named_max) break;
        log.message(MessageEvent::unprotected, id,
                    {{"reason", "its spool was set aside"}, {"folder", folder}});
      }
    }
  }
  if (!count) {
    log.line(LogLevel::error, "what only the damaged spool had could not be listed: run umbra spool export",
             {{"folder", folder}});
  } else if (*count > 0) {
    log.line(
        LogLevel::error,
        "messages without a copy on another hub are in the spool that was set aside: run umbra spool export",
        {{"folder", folder}, {"messages", static_cast<std::int64_t>(*count)}});
  }
}

}  // namespace

bool sets_aside(const Config& config) {
  auto rule = config.spool.on_corruption;
  return rule == OnCorruption::set_aside || (rule == OnCorruption::automatic && config.cluster.enabled());
}

Result<void> recover_spool(const Config& config, const std::string& vfs, const Error& error, EventLog& log) {
  if (!storage::is_damage(error)) return std::unexpected(error);
  const auto& directory = config.spool.directory;
  if (!sets_aside(config)) {
    return failure(error.code,
                   error.what +
                       ". It is left as it is (spool.on_corruption). Look at it with `umbra spool check " +
                       directory + "`, then `umbra spool set-aside " + directory +
                       "` moves it away and `umbra spool export` writes out what is readable");
  }
  auto folder = storage::set_aside(directory, vfs, error.what, config.spool.set_aside_max);
  if (!folder) {
    return failure(folder.error().code, error.what + ". It could not be set aside: " + folder.error().what);
  }
  log.line(LogLevel::error, "the spool is damaged and was set aside: starting with a new one",
           {{"reason", error.what}, {"folder", *folder}});
  name_what_only_it_had(*folder, vfs, log);
  return {};
}

}  // namespace umbra::hub
