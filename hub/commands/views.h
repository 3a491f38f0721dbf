// What search, config, tls and top print for people. Pure: the API's JSON in, text out; everything in it is
// made harmless for a terminal.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "hub/admin/table.h"

namespace umbra::hub {

/// Messages that were found, the hubs that did not answer, and how to go on.
std::string search_view(const nlohmann::ordered_json& answer, WallTime now, const Screen& screen);
/// {"hub", "done", "refused", "reasons"}: what an action on all that was found has done.
std::string acted_view(const nlohmann::ordered_json& answer, const std::string& action);
std::string certificates_view(const nlohmann::ordered_json& answer, WallTime now, const Screen& screen);
/// What a reload, and what a restart would change.
std::string config_diff_view(const nlohmann::ordered_json& answer);
/// Which configuration is in force on which hub.
std::string config_versions_view(const nlohmann::ordered_json& answer, WallTime now, const Screen& screen);

/// One look at the cluster: the hub's own status, and those of the others as they answered.
struct TopSample {
  double seconds = 0;  ///< since any fixed moment
  nlohmann::ordered_json answer;
};
/// At most screen.lines lines, each of at most screen.columns. `before`: the sample that rates are reckoned
/// from; null: there are none yet.
std::string top_view(const TopSample* before, const TopSample& now, WallTime wall, const Screen& screen);

}  // namespace umbra::hub
