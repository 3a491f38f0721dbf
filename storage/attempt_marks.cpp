#include "storage/attempt_marks.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

namespace umbra::storage {
namespace {

constexpr std::uint64_t magic = 0x554d425241540001ULL;
static_assert(sizeof(AttemptMarks::Region) == 65'536);

void unmap(AttemptMarks::Region* region) {
  ::munmap(region, sizeof *region);
}

std::unexpected<Error> failed(const std::string& what) {
  auto code = std::error_code(errno, std::generic_category());
  return failure(code, what + ": " + code.message());
}

/// Stores in the order in which they stand here, as whoever reads the memory after this process sees them.
void store(std::uint64_t& place, std::uint64_t value) {
  std::atomic_ref(place).store(value, std::memory_order_release);
}

}  // namespace

Result<std::unique_ptr<AttemptMarks::Region, void (*)(AttemptMarks::Region*)>> AttemptMarks::map(
    const std::string& directory) {
  auto path = directory + "/spool.attempts";
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return failed("open " + path);
  // Room is taken now: a mapped page without room on the disk would end the process at its first store.
  int full = ::posix_fallocate(file, 0, sizeof(Region));
  void* memory =
      full == 0 ? ::mmap(nullptr, sizeof(Region), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (full != 0) errno = full;
  int error = errno;
  ::close(file);
  errno = error;
  if (memory == MAP_FAILED) return failed("map " + path);
  return std::unique_ptr<Region, void (*)(Region*)>(static_cast<Region*>(memory), unmap);
}

std::optional<Interrupted> AttemptMarks::read(const Region& region) {
  if (region.magic != magic || region.spool == 0) return std::nullopt;
  Interrupted found{SpoolId{region.spool}, Epoch{region.epoch}, {}};
  for (const auto& slot : region.slot)
    if (slot.spool != 0) found.attempts.push_back({SpoolId{slot.spool}, slot.number});
  return found;
}

AttemptMarks::AttemptMarks(Region& region, SpoolId spool, Epoch epoch) : region_(region) {
  store(region.magic, 0);
  for (auto& slot : region.slot) slot = {0, 0};
  region.spool = spool.value;
  region.epoch = epoch.value;
  store(region.magic, magic);
  free_.reserve(slots);
  for (std::size_t i = slots; i > 0; --i) free_.push_back(static_cast<std::uint16_t>(i - 1));
}

void AttemptMarks::begin(MessageId id) {
  if (auto known = marks_.find(id); known != marks_.end()) {
    ++known->second.attempts;
    return;
  }
  if (free_.empty()) return;
  auto at = free_.back();
  free_.pop_back();
  marks_[id] = {at, 1};
  store(region_.slot[at].number, id.number);
  store(region_.slot[at].spool, id.spool.value);
}

void AttemptMarks::end(MessageId id) {
  auto known = marks_.find(id);
  if (known == marks_.end() || --known->second.attempts > 0) return;
  store(region_.slot[known->second.slot].spool, 0);
  free_.push_back(known->second.slot);
  marks_.erase(known);
}

}  // namespace umbra::storage
