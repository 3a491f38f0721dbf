#include "base/message_note.h"

namespace umbra {

void add_owner(std::vector<OwnerRecord>& history, OwnerRecord owner) {
  history.push_back(std::move(owner));
  while (history.size() > owner_records_max) history.erase(history.begin() + 1);
}

}  // namespace umbra
