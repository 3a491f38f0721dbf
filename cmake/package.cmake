# What is installed where, and the Debian package of it (scripts/package, `make package`).
include(GNUInstallDirs)

install(TARGETS umbra umbra-load RUNTIME DESTINATION bin)
install(FILES packaging/hub.yaml DESTINATION /etc/umbra)
install(FILES packaging/systemd/umbra.service DESTINATION lib/systemd/system)
install(FILES packaging/systemd/umbra.sysusers DESTINATION lib/sysusers.d RENAME umbra.conf)
install(FILES packaging/systemd/umbra.tmpfiles DESTINATION lib/tmpfiles.d RENAME umbra.conf)
install(FILES LICENSE DESTINATION share/doc/umbra RENAME copyright)
install(DIRECTORY docs/ DESTINATION share/doc/umbra FILES_MATCHING PATTERN "*.md" PATTERN "*.json" PATTERN "man" EXCLUDE PATTERN "*.part.md" EXCLUDE)
# Manual pages and completions, which the program writes itself.
set(generated ${PROJECT_BINARY_DIR}/generated)
add_custom_command(OUTPUT ${generated}.stamp
  COMMAND ${PROJECT_SOURCE_DIR}/packaging/generated $<TARGET_FILE:umbra> ${generated}
  COMMAND ${CMAKE_COMMAND} -E touch ${generated}.stamp
  DEPENDS umbra ${PROJECT_SOURCE_DIR}/packaging/generated VERBATIM)
install(DIRECTORY ${generated}/ DESTINATION share)

# Only these: a package does not wait for tests.
add_custom_target(package_contents DEPENDS umbra umbra-load ${generated}.stamp)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

set(UMBRA_PACKAGE_VERSION ${PROJECT_VERSION} CACHE STRING "Version of the package")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME umbra)
set(CPACK_PACKAGE_VERSION ${UMBRA_PACKAGE_VERSION})
set(CPACK_PACKAGE_CONTACT "Umbra <umbra@localhost>")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_SOURCE_DIR}/build/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "clustered SMTP relay that keeps every acknowledged message on two machines
A mail hub for applications and gateways. Every message that was answered 250
is durable on two hubs until each next hop has confirmed it: any hub can be
killed, lose its disk, be upgraded or be scaled away, and no mail is lost.
No database server and no shared storage are needed.
.
The package has the hub and its operator's command (umbra), and a load
generator with a ledger that shows that nothing was lost (umbra-load).")
file(WRITE ${PROJECT_BINARY_DIR}/debian/conffiles "/etc/umbra/hub.yaml\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/packaging/debian/postinst
  ${PROJECT_SOURCE_DIR}/packaging/debian/prerm
  ${PROJECT_SOURCE_DIR}/packaging/debian/postrm
  ${PROJECT_BINARY_DIR}/debian/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
