// The suspensions as a JSON text, as they stand in the spool.
#include <nlohmann/json.hpp>

#include "hub/suspension/suspension.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::json;

Json to_json(const std::vector<Suspension>& list) {
  Json all = Json::array();
  for (const auto& one : list) {
    Json json = {{"what", to_string(one.what)},
                 {"name", one.name},
                 {"since", one.since.time_since_epoch().count()},
                 {"reason", one.reason}};
    if (one.until != WallTime::max()) json["until"] = one.until.time_since_epoch().count();
    all.push_back(std::move(json));
  }
  return all;
}

std::vector<Suspension> from_json(const Json& list) {
  std::vector<Suspension> all;
  for (const auto& json : list) {
    Suspension one;
    const auto& what = json.at("what").get_ref<const std::string&>();
    const auto kind = suspension_kind(what);
    if (!kind) throw std::invalid_argument("\"" + what + "\" cannot be suspended");
    one.what = *kind;
    one.name = json.at("name").get<std::string>();
    one.since = WallTime(WallTime::duration(json.at("since").get<std::int64_t>()));
    if (json.contains("until"))
      one.until = WallTime(WallTime::duration(json.at("until").get<std::int64_t>()));
    one.reason = json.at("reason").get<std::string>();
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

std::string to_text(const SuspensionList& list) {
  return Json{{"now", to_json(list.now)}, {"past", to_json(list.past)}}.dump(-1, ' ', false,
                                                                             Json::error_handler_t::replace);
}

Result<SuspensionList> parse_suspensions(const std::string& text) {
  try {
    auto json = Json::parse(text);
    return SuspensionList{from_json(json.at("now")), from_json(json.at("past"))};
  } catch (const std::exception& wrong) {
    return failure(std::errc::bad_message, std::string("suspensions: ") + wrong.what());
  }
}

}  // namespace umbra::hub
