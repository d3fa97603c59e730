# SPDX-License-Identifier: GPL-3.0-or-later
# UNTESTED: written with care after nixpkgs' manual, but never built.
#
#   nix-build packaging/nix                 or, in a configuration:  pkgs.callPackage ./packaging/nix { }
#
# On NixOS also:  services.dbus.packages = [ netjail ]; systemd.packages = [ netjail ];
# systemd.services.netjaild.wantedBy = [ "multi-user.target" ]; environment.systemPackages = [ netjail ];
# (environment.systemPackages brings the polkit policy, completions, manual pages and icons).
{
  pkgs ? import <nixpkgs> { },
  lib ? pkgs.lib,
  stdenv ? pkgs.stdenv,
  python3 ? pkgs.python3,
  dnsmasq ? pkgs.dnsmasq,
  iproute2 ? pkgs.iproute2,
  nftables ? pkgs.nftables,
  wireguard-go ? pkgs.wireguard-go,
  wireguard-tools ? pkgs.wireguard-tools,
}:

let
  python = python3.withPackages (
    p: with p; [
      nftables
      pillow
      pydbus
      pygobject3
      pyroute2
      pystray
      pyxdg
      tomli-w
    ]
  );
in
stdenv.mkDerivation {
  pname = "netjail";
  version = "0.1.0";
  src = lib.cleanSource ../..;

  nativeBuildInputs = [ python ];
  dontBuild = true;

  # wgconfig is not in nixpkgs; the copy of packaging/debian is taken, see README.source there.
  #
  # The helper finds the programs it starts in a fixed PATH, which knows NixOS's
  # /run/current-system/sw/bin; on other systems the programs are the distribution's.
  installPhase = ''
    runHook preInstall
    private=$out/share/netjail
    mkdir -p $private $out/bin $out/sbin
    cp -r netjail $private/
    rm -rf $private/netjail/data
    cp -r packaging/debian/wgconfig/wgconfig $private/
    ${python}/bin/python3 -B -c "from netjail.launch import stub
    print(stub.render('${python}/bin/python3', '$private'), end=''')" > $out/bin/netjail
    chmod 755 $out/bin/netjail
    substitute packaging/debian/launcher $out/sbin/netjaild \
      --replace-fail /usr/bin/python3 ${python}/bin/python3 \
      --replace-fail /usr/share/netjail $private
    chmod 755 $out/sbin/netjaild

    # `setup` has places of its own choice for a prefix that it does not know: it is asked for
    # those of /usr, which are then moved.
    ${python}/bin/python3 -B -m netjail setup --destdir $PWD/staged --prefix /usr
    find staged/usr -name '*.service' -exec sed -i "s,/usr/sbin/netjaild,$out/sbin/netjaild," {} +
    cp -r staged/usr/. $out/
    find $out -name __pycache__ -prune -exec rm -r {} +
    ${python}/bin/python3 -m compileall -q $private
    runHook postInstall
  '';

  # Programs that are to be on the PATH of the helper.
  propagatedUserEnvPkgs = [
    dnsmasq
    iproute2
    nftables
    wireguard-go
    wireguard-tools
  ];

  meta = {
    description = "Network profiles, each in a network namespace of its own";
    license = with lib.licenses; [
      gpl3Plus
      agpl3Plus
    ];
    platforms = lib.platforms.linux;
    mainProgram = "netjail";
  };
}
