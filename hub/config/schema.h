// The configuration file described for machines (JSON Schema, docs/config.schema.json) and for people
// (docs/configuration.md). Both are made from the same walk over the keys that reads the file.
#pragma once

#include <string>

namespace umbra::hub {

/// JSON Schema 2020-12. Beside the standard words: `x-kind` says what a string means (duration, size,
/// endpoint, ...), `x-takes-effect` when a change is in force (reload, restart).
std::string config_schema();
/// The reference page, Markdown.
std::string config_reference();

}  // namespace umbra::hub
