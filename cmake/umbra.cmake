# How every target of Umbra is built: warnings as errors, sanitizers by preset, ccache and lld where present.
set(UMBRA_SANITIZE "" CACHE STRING "Value for -fsanitize=, empty for none")

# One cache serves every checkout and build folder: what is hashed and what is written into objects names no path of this
# checkout. (A precompiled header would: there is none.)
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

add_library(umbra_flags INTERFACE)
target_include_directories(umbra_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(umbra_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(umbra_flags INTERFACE -ffile-compilation-dir=.)
  target_link_options(umbra_flags INTERFACE -fuse-ld=lld)
endif()
if(UMBRA_SANITIZE)
  target_compile_options(umbra_flags INTERFACE -fsanitize=${UMBRA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(umbra_flags INTERFACE -fsanitize=${UMBRA_SANITIZE})
endif()

# umbra_library(name dependencies...): a static library of all sources below the current folder.
function(umbra_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS *.h)
  add_library(${name} STATIC ${sources} ${headers})
  target_link_libraries(${name} PUBLIC umbra_flags ${ARGN})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# umbra_test(name dependencies...): one GoogleTest program of all *_test.cpp in the current folder.
function(umbra_test name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  list(LENGTH sources count)
  if(count EQUAL 0)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE umbra_flags ${ARGN} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()
