/** What every service is made with: settings, log, HTTP with a hot lane, start and stop. README.md shows it at work. */
export { type Settings, type SettingsOf, settings, settingsTable } from './config.ts';
export { ConfigFault, type Environment, type SettingRow, type Values } from './environment.ts';
export type { Kit, Log, Mount, Service, Visit } from './kit.ts';
export { kitSettingRows } from './kit-settings.ts';
export { createLog, type FlushableLog, type LogLevel, type LogOptions } from './log.ts';
export { runService } from './run-service.ts';
export { type Setting, setting } from './setting.ts';
export { type RunningService, type ServiceDefinition, type StartOptions, startService } from './start-service.ts';
