// A story that touches everything a spool can do, in steps that commit one by one; and what a spool contains,
// as text. Crash tests stop the story anywhere and compare what is found afterwards with what an undisturbed
// run had at that step.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {

/// Returns when its change is committed (success: durable). Steps are independent of each other's results.
struct Step {
  std::string name;
  std::function<Result<void>(SpoolBox&)> run;
  /// How many steps before this one must be repeated when it is the first after a restart: an acceptance does
  /// not outlive the epoch in which it began, and what was streamed of it is swept.
  std::size_t repeat = 0;
  bool restarts = false;  ///< closes the spool and opens it again
};

/// Every kind of change once or more: accept, several in one batch, streamed bodies, shadows, progress,
/// forks, discards, take-over, cede, hand-over in both directions, hold, notes in both directions, a restart
/// in the middle.
std::vector<Step> spool_story();

/// The same, and then what only a spool with a safety net does: gives way, sends again, keeps, trims.
std::vector<Step> safety_net_story();

/// A large body accepted, delivered, and removed piece by piece.
std::vector<Step> large_body_story();

/// Everything a reader can see but epoch and sequence, which restarts change.
std::string contents(SpoolBox& box);

/// Looks at the database behind the spool's back: SQLite's own check, and that no table has rows without
/// their owner, the due queue is what the messages say, and the counts are true. Empty: all is well.
std::string damage(const MemoryDisk& disk);

}  // namespace umbra::storage
