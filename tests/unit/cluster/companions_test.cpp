#include "cluster/companions.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace umbra::cluster {
namespace {

std::vector<ZonedHub> hubs(std::size_t count, std::size_t zones) {
  std::vector<ZonedHub> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back({"hub-" + std::to_string(i), "zone" + std::to_string(i % zones)});
  return all;
}

std::set<std::string, std::less<>> companions(const std::vector<ZonedHub>& all, std::size_t of) {
  auto others = all;
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(of));
  return companions_of(all[of], others);
}

TEST(Companions, AreAllOfASmallCluster) {
  EXPECT_EQ(companions(hubs(1, 1), 0).size(), 0U);
  EXPECT_EQ(companions(hubs(17, 3), 0).size(), 16U);
}

TEST(Companions, DoNotGrowWithTheCluster) {
  for (std::size_t count : {18U, 30U, 100U, 256U})
    for (std::size_t zones : {1U, 3U, 100U}) {
      auto all = hubs(count, zones);
      std::size_t sum = 0;
      for (std::size_t i = 0; i < count; ++i) {
        auto found = companions(all, i);
        EXPECT_GE(found.size(), 8U);
        sum += found.size();
      }
      EXPECT_LE(static_cast<double>(sum) / static_cast<double>(count), 16.0)
          << count << " hubs, " << zones << " zones";
    }
}

TEST(Companions, AreMutual) {
  for (std::size_t zones : {1U, 2U, 3U}) {
    auto all = hubs(60, zones);
    for (std::size_t a = 0; a < all.size(); ++a)
      for (std::size_t b = 0; b < all.size(); ++b)
        if (a != b)
          EXPECT_EQ(companions(all, a).contains(all[b].name), companions(all, b).contains(all[a].name))
              << a << " " << b;
  }
}

TEST(Companions, AreInOtherZonesToo) {
  auto all = hubs(100, 1);
  for (std::size_t i = 0; i < 5; ++i) all[20 * i].zone = "far";
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto found = companions(all, i);
    auto is_elsewhere = [&](const auto& hub) { return hub.zone != all[i].zone && found.contains(hub.name); };
    EXPECT_GE(std::ranges::count_if(all, is_elsewhere), 2) << i;
  }
}

TEST(Companions, LeaveAPairThatLosesBothCopiesRare) {
  // Of the pairs of hubs, those that hold copies for one another: with 100 hubs less than one in six.
  auto all = hubs(100, 1);
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < all.size(); ++i) pairs += companions(all, i).size();
  EXPECT_LE(pairs * 6, all.size() * (all.size() - 1));
}

}  // namespace
}  // namespace umbra::cluster
