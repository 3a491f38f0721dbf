// `umbra headers FILE|-`: reads the header of a delivered message and shows its way: each hop, what it took,
// and of hubs which way to redundancy the acknowledgement waited for. Asks no hub.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace umbra::hub {

struct HeadersCommand {
  std::string file;                   ///< "-": standard input
  std::string output = "text";        ///< text, json
  std::vector<std::string> own = {};  ///< host names whose fields are believed beyond the first hub
};

/// Exit codes: 0; 1: the file cannot be read, or there is no trace field in it.
int run_headers(const HeadersCommand& command, std::ostream& out, std::ostream& errors);
/// The same of a message that was read.
int show_headers(const std::string& message, const HeadersCommand& command, std::ostream& out,
                 std::ostream& errors);

}  // namespace umbra::hub
