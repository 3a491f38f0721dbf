// What `umbra spool` does, on the files of a spool and without a hub: check, export, set-aside. Called by the
// command line only. Prints to the streams it is given; the result is the exit code.
#pragma once

#include <iosfwd>
#include <string>

namespace umbra::hub {

/// Exit codes besides those of every command (exit_code.h): what was asked for was done, and the spool has
/// damage.
inline constexpr int found_damage = 5;

struct SpoolCheckOptions {
  std::string directory;
  bool json = false;
};
/// Reads everything there is. 0: whole; found_damage: it is not, `out` says where; 1: it cannot be opened at
/// all.
int check_spool(const SpoolCheckOptions& options, std::ostream& out, std::ostream& errors);

struct SpoolExportOptions {
  std::string directory;
  std::string to;           ///< made when it is not there; what it has of an earlier export is written anew
  bool only_here = false;   ///< only messages of which no other hub said that it holds a copy
  bool safety_net = false;  ///< also what was delivered and is kept, as <id>.delivered.eml and .json
};
/// A file <id>.eml and <id>.json for each message and shadow. 0: all of it; found_damage: what was readable;
/// 1: nothing could be read, or `to` cannot be written.
int export_spool(const SpoolExportOptions& options, std::ostream& out, std::ostream& errors);

/// Moves the files of a spool that no hub uses into a folder beside it. 0: done.
int set_spool_aside(const std::string& directory, const std::string& reason, std::ostream& out,
                    std::ostream& errors);

}  // namespace umbra::hub
