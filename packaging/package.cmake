# What is installed, and the Debian package made of it: cmake --build build --target deb.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # a package needs no tests
set(PG_EDGE_DOC share/doc/pg_edge)
install(TARGETS pg_edge RUNTIME DESTINATION bin)
if(TARGET pg_edgectl)
  install(TARGETS pg_edgectl RUNTIME DESTINATION bin)
endif()
install(PROGRAMS packaging/reload DESTINATION lib/pg_edge)
install(FILES packaging/pg_edge.service packaging/pg_edge.socket DESTINATION /lib/systemd/system)
install(FILES packaging/pg_edge.toml DESTINATION /etc/pg_edge)
install(FILES packaging/pg_edge.8 DESTINATION share/man/man8)
file(GLOB guides ${CMAKE_SOURCE_DIR}/docs/*.md)
install(FILES ${guides} CHANGELOG.md DESTINATION ${PG_EDGE_DOC})
install(FILES LICENSE DESTINATION ${PG_EDGE_DOC} RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME pg_edge)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the pg_edge developers <pg_edge@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "connection pooler for PostgreSQL")
set(CPACK_PACKAGE_DESCRIPTION "Many clients share few connections to PostgreSQL, in session, transaction or statement
mode. Start-up parameters and prepared statements follow each client, errors are PostgreSQL's own, and a new version
takes over from the running one without a client noticing.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# Names of Debian packages have no underscore.
set(CPACK_DEBIAN_PACKAGE_NAME pg-edge)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, init-system-helpers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "postgresql-client")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "etcd-server")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  "${CMAKE_SOURCE_DIR}/packaging/debian/postinst;${CMAKE_SOURCE_DIR}/packaging/debian/prerm"
  "${CMAKE_SOURCE_DIR}/packaging/debian/postrm;${CMAKE_SOURCE_DIR}/packaging/debian/conffiles")
include(CPack)

add_custom_target(deb
  COMMAND ${CMAKE_CPACK_COMMAND} --config ${CMAKE_BINARY_DIR}/CPackConfig.cmake -B ${CMAKE_BINARY_DIR}
  DEPENDS pg_edge $<TARGET_NAME_IF_EXISTS:pg_edgectl>
  WORKING_DIRECTORY ${CMAKE_BINARY_DIR} VERBATIM)
